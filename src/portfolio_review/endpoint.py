"""Can it be deployed, and is it?"""

import http.client
import os
import re
import urllib.request

from .criteria import MET, NOT_CHECKED, NOT_YET, Finding, criterion, judge
from .project import Project

ROUTES = {
    "text-classification": ("/predict",),
    "forecasting": ("/forecast",),
    "document-similarity": ("/search", "/documents"),
}
PRIVATE = ("/model", "/metrics")  # on another port with `serve.operations_port`
COMMON = ("/health", "/ready", *PRIVATE)
LIVE = re.compile(r"^\*\*Live demo:\*\*.*?(https?://[^\s)>\]]+)", re.MULTILINE)


@criterion("endpoint.image", "a container image: pinned, unprivileged, with a health check")
def image(project: Project) -> Finding:
    text = re.sub(r"\\\n", " ", project.text("Dockerfile"))
    bases = re.findall(r"^FROM\s+(?:--\S+\s+)*(\S+)", text, re.MULTILINE)
    stages = {*re.findall(r"^FROM\s.*\sAS\s+(\S+)", text, re.MULTILINE | re.IGNORECASE)}
    # A stage has another one's settings only if it is built on it.
    last = text if bases[-1:] and bases[-1] in stages else re.split(r"(?m)^FROM\s", text)[-1]
    users = re.findall(r"^USER\s+(\S+)", last, re.MULTILINE)
    faults = [] if text else ["Dockerfile is missing"]
    if text and (not users or re.match(r"(root|0)\b", users[-1])):
        faults.append("Dockerfile: runs as root")
    if text and not re.search(r"^(ENTRYPOINT|CMD)\s+\[", text, re.MULTILINE):
        faults.append(
            "Dockerfile: no ENTRYPOINT or CMD in exec form, so signals do not reach the server"
        )
    if text and not re.search(r"^HEALTHCHECK\s+(?!NONE|\s)", text, re.MULTILINE):
        faults.append("Dockerfile: no HEALTHCHECK")
    for base in bases:
        named = base.startswith("$") or base in stages or base == "scratch"
        if not named and (":" not in base or base.endswith(":latest")):
            faults.append(f"Dockerfile: {base} is not pinned to a version")
    return judge(
        faults,
        f"{project.at('Dockerfile', '^USER')}: {len(bases)} stages, user {', '.join(users[-1:])}",
        "Correct the Dockerfile.",
    )


@criterion("endpoint.target", "a deployment target, described and complete", required=False)
def target(project: Project) -> Finding:
    files = [name for name in project.files if name.startswith("deploy/")]
    if not files:
        return Finding(
            NOT_YET,
            ["deploy/ is missing"],
            "Choose a target: docs/how-to/deploy.md of the template.",
        )
    faults = [
        f"{name}: is not valid {name.rpartition('.')[2]}"
        for name in files
        if name.endswith((".yaml", ".yml", ".json"))
        and not project.data(name)
        # Files with several documents are for the deployment's own tools.
        and "\n---" not in project.text(name)
    ]
    wanted = ("deploy/deploy.sh", "deploy/README.md")
    faults += [f"{name} is missing" for name in wanted if name not in files]
    evidence = f"deploy/: {', '.join(name.removeprefix('deploy/') for name in files)}"
    return judge(faults, evidence, "`make deploy DRY_RUN=1` shows what is missing.")


@criterion("endpoint.contract", "the API has the routes that people and machines rely on")
def contract(project: Project) -> Finding:
    # The author's routes, and those that the kit adds.
    place = r"(src/\w+|kit/portfolio_kit)/(serving|retrieval)/.*\.py$"
    serving = [name for name in project.files if re.match(place, name)]
    code = "\n".join(project.text(name) for name in serving)
    routes = (*COMMON, *ROUTES.get(project.type, ()))
    faults = [
        f"src/{project.package}/serving/: no route {route}"
        for route in routes
        if f'"{route}"' not in code
    ]
    return judge(faults, f"routes: {', '.join(routes)}", "Restore the route.")


@criterion("endpoint.live", "a live URL in README.md that answers", required=False)
def live(project: Project) -> Finding:
    found = LIVE.search(project.text("README.md"))
    advice = "Deploy it, and write its address on the line **Live demo:** in README.md."
    if not found:
        return Finding(NOT_YET, ["README.md: no address on the line **Live demo:**"], advice)
    url = found[1].rstrip("/.,")
    if os.environ.get("ONLINE") != "1":
        return Finding(NOT_CHECKED, [f"README.md: {url}"], "Use ONLINE=1 to send it a request.")
    try:
        with urllib.request.urlopen(f"{url}/ready", timeout=30) as response:
            return Finding(MET, [f"{url}/ready: {response.status}"])
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Finding(NOT_YET, [f"{url}/ready: {error}"], "Read its logs, and deploy it again.")
