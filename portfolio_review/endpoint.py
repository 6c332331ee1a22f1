"""Can it be deployed, and is it?"""

import http.client
import os
import re
import urllib.request

from .criteria import MET, NOT_ASKED, NOT_YET, Finding, criterion, judge
from .project import Project

ROUTES = {
    "text-classification": ("/predict",),
    "forecasting": ("/forecast",),
    "document-similarity": ("/search", "/documents"),
}
COMMON = ("/health", "/ready", "/model", "/metrics")
LIVE = re.compile(r"^\*\*Live demo:\*\*.*?(https?://[^\s)>\]]+)", re.MULTILINE)


@criterion("endpoint.image", "a container image: small, without rights, that says how it is")
def image(project: Project) -> Finding:
    text = re.sub(r"\\\n", " ", project.text("Dockerfile"))
    bases = re.findall(r"^FROM\s+(?:--\S+\s+)*(\S+)", text, re.MULTILINE)
    stages = {*re.findall(r"^FROM\s.*\sAS\s+(\S+)", text, re.MULTILINE | re.IGNORECASE)}
    # What a stage sets is gone in the next one, unless that is built on it.
    last = text if bases[-1:] and bases[-1] in stages else re.split(r"(?m)^FROM\s", text)[-1]
    users = re.findall(r"^USER\s+(\S+)", last, re.MULTILINE)
    faults = [] if text else ["Dockerfile: not here"]
    if text and (not users or re.match(r"(root|0)\b", users[-1])):
        faults.append("Dockerfile: runs as root")
    if text and not re.search(r"^(ENTRYPOINT|CMD)\s+\[", text, re.MULTILINE):
        faults.append("Dockerfile: no ENTRYPOINT or CMD in exec form, so it is not told to stop")
    if text and not re.search(r"^HEALTHCHECK\s+(?!NONE|\s)", text, re.MULTILINE):
        faults.append("Dockerfile: no HEALTHCHECK")
    for base in bases:
        named = base.startswith("$") or base in stages or base == "scratch"
        if not named and (":" not in base or base.endswith(":latest")):
            faults.append(f"Dockerfile: {base} is no fixed version")
    return judge(
        faults,
        f"{project.at('Dockerfile', '^USER')}: {len(bases)} stages, user {', '.join(users[-1:])}",
        "Mend the Dockerfile.",
    )


@criterion("endpoint.target", "a deployment target, described and complete", must=False)
def target(project: Project) -> Finding:
    files = [name for name in project.files if name.startswith("deploy/")]
    if not files:
        return Finding(NOT_YET, ["deploy/: not here"], "Choose a deployment_target, or write one.")
    faults = [
        f"{name}: cannot be read as {name.rpartition('.')[2]}"
        for name in files
        if name.endswith((".yaml", ".yml", ".json"))
        and not project.data(name)
        # Several documents in one file are read by the deployment's own tools.
        and "\n---" not in project.text(name)
    ]
    wanted = ("deploy/deploy.sh", "deploy/README.md")
    faults += [f"{name}: not here" for name in wanted if name not in files]
    evidence = f"deploy/: {', '.join(name.removeprefix('deploy/') for name in files)}"
    return judge(faults, evidence, "`make deploy DRY_RUN=1` shows what is missing.")


@criterion("endpoint.contract", "the API has the routes that users and machines rely on")
def contract(project: Project) -> Finding:
    serving = [name for name in project.files if re.match(r"src/\w+/serving/.*\.py$", name)]
    code = "\n".join(project.text(name) for name in serving)
    routes = (*COMMON, *ROUTES.get(project.type, ()))
    faults = [f"src/…/serving/: no route {route}" for route in routes if f'"{route}"' not in code]
    return judge(faults, f"routes: {', '.join(routes)}", "Give the API the route back.")


@criterion("endpoint.live", "a live URL in README.md that answers", must=False)
def live(project: Project) -> Finding:
    found = LIVE.search(project.text("README.md"))
    advice = "Deploy it, and write its address into the line **Live demo:** of README.md."
    if not found:
        return Finding(NOT_YET, ["README.md: no address in the line **Live demo:**"], advice)
    url = found[1].rstrip("/.,")
    if os.environ.get("ONLINE") != "1":
        return Finding(NOT_ASKED, [f"README.md: {url}"], "ONLINE=1 asks it.")
    try:
        with urllib.request.urlopen(f"{url}/ready", timeout=30) as response:
            return Finding(MET, [f"{url}/ready: {response.status}"])
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Finding(NOT_YET, [f"{url}/ready: {error}"], "Look at its logs, and deploy it again.")
