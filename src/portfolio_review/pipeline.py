"""Does one command repeat everything, from raw data to report?"""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from pathspec import GitIgnoreSpec

from .criteria import NOT_YET, PARTLY, Finding, criterion, judge
from .folder import is_below
from .project import Project
from .reading import part

STAGES = ("data", "train", "evaluate", "report")
MAX_WILDCARDS = 3  # each multiplies the time that a long name takes
REPEAT = "Run `make pipeline`, and commit dvc.lock."


@criterion("pipeline.one_command", "one command from raw data to the report")
def one_command(project: Project) -> Finding:
    stages = part(project.data("dvc.yaml"), "stages")
    faults = [f"dvc.yaml: no stage `{name}`" for name in STAGES if name not in stages]
    if "pipeline:" not in project.text("Makefile"):
        faults.append("Makefile: no target `pipeline`")
    for name, stage in stages.items():
        command = str(part(stages, name).get("cmd", ""))
        if re.search(r"nbconvert|papermill|\.ipynb", command):
            faults.append(f"dvc.yaml, `{name}`: runs a notebook")
        for dependency in _names(part({"stage": stage}, "stage").get("deps")):
            made = dependency.startswith(("data/", "models", "reports/", ".params"))
            path = project.path(dependency)
            here = path is not None and path.exists()
            if not made and not here:
                faults.append(f"dvc.yaml, `{name}`: depends on {dependency}, which is missing")
    evidence = f"dvc.yaml: {', '.join(stages)}; Makefile: `make pipeline`"
    return judge(faults, evidence, "Make every step a stage in dvc.yaml.")


@criterion("pipeline.lock", "the lock file belongs to this code and these parameters")
def lock(project: Project) -> Finding:
    locked = part(project.data("dvc.lock"), "stages")
    stages = part(project.data("dvc.yaml"), "stages")
    if not locked:
        return Finding(NOT_YET, ["dvc.lock is missing"], REPEAT)
    run = {name.partition("@")[0] for name in locked}  # stages made from a list are name@item
    faults = [f"dvc.lock: no stage `{name}`" for name in stages if name not in run]
    for name in locked:
        entry, stage = part(locked, name), part(stages, name.partition("@")[0])
        filled = "@" in name or "${" in str(stage.get("cmd"))  # by DVC
        if not stage or (entry.get("cmd") != stage.get("cmd") and not filled):
            faults.append(f"dvc.lock, `{name}`: its command is not that of dvc.yaml")
        for what in ("deps", "outs"):
            for path, md5 in _hashes(entry.get(what)):
                mine = path.startswith(("src/", "kit/") if what == "deps" else "reports/")
                found = dvc_md5(project, path) if mine else None
                if found and found != md5:
                    faults.append(f"dvc.lock, `{name}`: {path} has changed since")
        recorded = part(part(entry, "params"), ".params.yaml")
        for key, value in recorded.items():
            if other := _other(value, _get(project.params, key), key):
                faults.append(f"dvc.lock, `{name}`: params.yaml has a different `{other}`")
    return judge(faults, f"dvc.lock: {len(locked)} stages match the code and params.yaml", REPEAT)


def _names(entries: Any) -> Iterator[str]:
    for entry in entries if isinstance(entries, list) else []:
        yield str(next(iter(entry)) if isinstance(entry, dict) and entry else entry)


def _hashes(entries: Any) -> Iterator[tuple[str, Any]]:
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            yield str(entry.get("path")), entry.get("md5")


def _get(params: dict[str, Any], key: str) -> Any:
    value: Any = params
    for name in str(key).split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _other(old: Any, new: Any, key: str) -> str | None:
    """Return the dotted key of the first parameter that differs, missing ones aside."""
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = (_other(old.get(name), value, f"{key}.{name}") for name, value in new.items())
        return next((found for found in pairs if found), None)
    return key if new is not None and old != new else None


def dvc_md5(project: Project, name: str) -> str | None:
    """Return DVC's MD5 of a file, or of a folder (of its sorted listing as JSON).

    Like DVC, it leaves out of a folder what `.dvcignore` names.
    """
    if project.has(name):
        return project.digest(name, "md5") or "too large"
    inside = (file for file in project.files if file.startswith(f"{name}/"))
    listing = [
        {"md5": project.digest(file, "md5"), "relpath": file.removeprefix(f"{name}/")}
        for file in _dvcignore(project).match_files(inside, negate=True)
    ]
    listing.sort(key=lambda entry: str(entry["relpath"]))
    content = json.dumps(listing, sort_keys=True).encode()
    md5 = hashlib.md5(content, usedforsecurity=False)
    return f"{md5.hexdigest()}.dir" if listing else None


def _dvcignore(project: Project) -> GitIgnoreSpec:
    """Return the rules of `.dvcignore`, without those that are invalid or slow to match."""
    rules = []
    for line in project.text(".dvcignore").splitlines():
        with contextlib.suppress(ValueError, re.error):
            GitIgnoreSpec.from_lines([line])
            rules += [line] * (len(re.findall(r"\*+", line)) <= MAX_WILDCARDS)
    return GitIgnoreSpec.from_lines(rules)


@criterion("pipeline.hashes", "data and model match the hashes that are recorded for them")
def hashes(project: Project) -> Finding:
    pinned = part(project.params, "data").get("sha256")
    used = part(project.metrics, "data").get("sha256")
    evidence = [f"{project.at('params.yaml', r'^  sha256:')}, `data.sha256`: {pinned}"]
    advice = "Run `make pipeline`, and put the hash that `data` prints into `data.sha256`."
    if not pinned:
        return Finding(
            PARTLY, ["params.yaml: `data.sha256` is null, so any file is accepted"], advice
        )
    faults = []
    if not used:
        faults.append("reports/metrics.json is missing")
    elif used != pinned:
        faults.append("reports/metrics.json: measured on data other than `data.sha256`")
    for folder in ("data/processed", "models"):
        manifest = project.data(f"{folder}/manifest.json")
        for name, expected in part(manifest, "files").items():
            place = f"{folder}/{name}"
            path = project.path(place) if is_below(name) else None
            if path is None:
                faults.append(f"{place}: the manifest names a file outside of {folder}, or a link")
            elif not path.exists():
                faults.append(f"{place}: in the manifest, but missing")
            elif (found := _sha256(project, place)) is None:
                faults.append(f"{place}: too large to be compared with the manifest")
            elif found != expected:
                faults.append(f"{place}: differs from the manifest")
        evidence.append(
            f"{folder}: {len(part(manifest, 'files'))} files match their manifest"
            if manifest
            else f"{folder} is missing (it is never committed)"
        )
    version = project.data("models/manifest.json").get("version")
    if version and version != project.metrics.get("model_version"):
        faults.append("reports/metrics.json: measured with a model other than models/")
    return judge(faults, evidence, advice)


def _sha256(project: Project, name: str) -> str | None:
    """Return the SHA-256 of a file, or of a folder's listing, as the kit's `artifacts.py` does.

    None if there is too much to read.
    """
    if project.has(name):
        return project.digest(name, "sha256")
    files = project.below(name)
    digests = [project.digest(f"{name}/{file}", "sha256") for file in files or ()]
    if files is None or None in digests:
        return None
    pairs = zip(files, digests, strict=True)
    listing = "".join(f"{digest}  {file}\n" for file, digest in pairs)
    return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()
