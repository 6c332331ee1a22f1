"""Runs the stages of `dvc.yaml` and records the parameters that it compares."""

import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from . import artifacts, config
from .config import Settings
from .errors import UserError

RECORD = Path(".params.yaml")


def reproduce(package: str, overrides: list[str]) -> None:
    """Run what is out of date, as `dvc repro` does, with or without a git repository.

    Overrides reach each stage as environment variables.
    """
    # `python` in dvc.yaml means this interpreter, whether or not its environment is activated.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    os.environ.update({"PATH": path, **config.as_environment(package, overrides)})
    # Only the pipeline needs DVC, which takes a second to import.
    from dvc.repo import Repo

    try:
        with Repo(scm=_repository()) as repo:
            _adopt(repo)
            # The stage `params` always runs: DVC compares what it writes.
            has_run = {stage.addressing for stage in repo.reproduce()} - {"params"}
            has_remote = repo.config["remote"]
    except Exception as error:  # DVC's, and those of the libraries that it uses
        logging.getLogger("dvc").exception("")  # in DVC's own format, which has no traceback
        line = "the pipeline stopped; the lines above name the stage and the reason"
        raise UserError(line) from error
    if not has_run:
        print("Everything is up to date.")
    elif has_remote:
        print("`dvc push` sends data and model to the remote storage.")


def _repository() -> Any:
    """Return DVC's view of the git repository, if there is one that has a place for this folder."""
    from dvc.scm import SCM, SCMError

    with suppress(SCMError):
        repository = SCM(os.curdir)
        if not repository.is_ignored(os.path.realpath("dvc.yaml")):
            return repository
    return SCM(os.curdir, no_scm=True)


def _adopt(repo: Any) -> None:
    """Put outputs that are as `dvc.lock` says into DVC's cache, which a clone lacks.

    Otherwise DVC would make them again where data and model were copied into place.
    """
    from dvc.repo import lock_repo

    with lock_repo(repo):
        for out in (out for stage in repo.index.stages for out in stage.outs):
            is_missing = out.use_cache and "not in cache" in out.status().values()
            if is_missing and not out.workspace_status():
                out.commit(relink=False)


def record(params: Settings) -> None:
    """Write `.params.yaml`, which DVC compares instead of `params.yaml`.

    It includes overrides, and the hashes of local data files, which may be edited in place.
    """
    values = params.model_dump(mode="json")
    sources = {
        key: Path(os.path.expanduser(source))
        for key, source in values["data"].items()
        if isinstance(source, str) and key.endswith("source")
    }
    values["data"]["local_files"] = {
        key: artifacts.sha256(path) for key, path in sources.items() if _may_hold_data(path)
    }
    artifacts.write_text(RECORD, yaml.safe_dump(values, sort_keys=False))


def _may_hold_data(path: Path) -> bool:
    """Tell files and folders from devices, and from a folder that contains this project."""
    if os.path.isdir(path):
        return not Path.cwd().is_relative_to(path.resolve())
    return os.path.isfile(path)
