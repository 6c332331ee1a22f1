"""Measures what the template promises: python scripts/figures.py [TYPE].

Without a type: the size of generated projects and the CPU time of generating them; with RUN=1 also
the time of the tests. With a type, after `make demo`: what its model and its service promise.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent.parent
DEMO = TEMPLATE / "build" / "demo"
CI = TEMPLATE / "build" / "ci.json"  # written by .ci/run
ROUNDS = 7
PORT = 8731
SRC_LINES = {"text-classification": 1500, "forecasting": 1800, "document-similarity": 1800}
READ_FIRST = (  # by somebody with twenty minutes
    *("params.py", "data/prepare.py", "training/model.py", "training/train.py"),
    *("training/export.py", "evaluation/evaluate.py", "predictor.py", "serving/api.py"),
)
Row = tuple[str, str, str]  # what, measured, target


def main(arguments: list[str]) -> None:
    rows = of_demo(arguments[0]) if arguments else of_template()
    for what, measured, target in rows:
        print(f"{what:<62} {measured:<45} (target {target})", flush=True)


def of_template() -> Iterator[Row]:
    """Yield the figures of each type's generated project, and of the tests."""
    with tempfile.TemporaryDirectory() as folder:
        for project_type, most in SRC_LINES.items():
            project = generate(project_type, Path(folder) / project_type)
            yield from sizes(project_type, project, most)
    yield "CPU of generation above the CLI's own start", f"{generation_seconds():.2f} s", "0.4 s"
    if CI.exists():
        minutes = json.loads(CI.read_text(encoding="utf-8"))["seconds"] / 60
        yield "a whole .ci/run on this machine", f"{minutes:.1f} minutes", "30 minutes"
    if os.environ.get("RUN") == "1":
        yield "make test-fast", f"{minutes_of(TEMPLATE, 'test-fast'):.1f} minutes", "2 minutes"
        for project_type in SRC_LINES:
            project = demo(project_type)[0]
            name = f"{project_type}: make test, alone"
            yield name, f"{minutes_of(project, 'test'):.1f} minutes", "2 minutes"


def sizes(project_type: str, project: Path, most: int) -> Iterator[Row]:
    """Yield how large a fresh project is."""
    [package] = (path.parent for path in (project / "src").glob("*/__main__.py"))
    modules = {path.relative_to(package).as_posix(): lines(path) for path in package.rglob("*.py")}
    first = sum(modules.get(name, 0) for name in READ_FIRST)
    longest = max(modules, key=lambda name: modules[name])
    tests = sum(map(lines, (project / "tests").rglob("*.py")))
    kit = sum(map(lines, (project / "kit").rglob("*.py")))
    files = [path.relative_to(project) for path in project.rglob("*") if path.is_file()]
    own = [path for path in files if path.parts[0] not in (".git", "kit")]
    yield f"{project_type}: src/", f"{sum(modules.values()):,} lines", f"{most:,}"
    yield f"{project_type}: to be read first", f"{first:,} lines", "under 900"
    yield f"{project_type}: longest module", f"{modules[longest]} lines ({longest})", "200"
    yield f"{project_type}: files, kit aside", f"{len(own)}", "95 to 110"
    yield f"{project_type}: tests", f"{tests:,} lines", "2,500 to 3,500"
    yield f"{project_type}: kit", f"{kit:,} lines", "3,000 for text-classification"
    readme = lines(project / "README.md")
    yield f"{project_type}: README before the first run", f"{readme} lines", "under 150"


def of_demo(project_type: str) -> Iterator[Row]:
    """Yield what a demo's model and service promise."""
    project, seconds = demo(project_type)
    metrics = json.loads((project / "reports" / "metrics.json").read_text(encoding="utf-8"))
    model = json.loads((project / "models" / "manifest.json").read_text(encoding="utf-8"))
    versus = metrics["versus_best_baseline"]
    low, high = versus["interval_95"]
    lead = f"{versus['difference']:+.3f}, 95% interval {low:+.3f} to {high:+.3f}"
    yield "make demo", f"{seconds['total'] / 60:.1f} minutes", "10"
    yield f"{versus['metric']} against {versus['baseline']}", lead, "interval above 0"
    yield from PROMISED[project_type](metrics, model)
    yield "cold start", f"{cold_start_seconds(project):.2f} s", "2"
    yield from unlocked(project, model["version"])
    bench = project / "reports" / "bench.json"
    if bench.exists():
        for one in json.loads(bench.read_text(encoding="utf-8"))["figures"]:
            yield one["name"], one["measured"], one["target"]
    else:
        print(f"for the figures of serving, run make bench in {project} first")


INSTALLED = """
from importlib.metadata import distributions
print(*(f"{one.name}=={one.version}" for one in distributions()))
"""


def unlocked(project: Path, version: str) -> Iterator[Row]:
    """Yield how many packages of the image are in no lock, after `make image`."""
    alone = ["docker", "run", "--rm", "--network=none", "--entrypoint=python"]
    command = [*alone, f"{project.name}:{version}", "-c", INSTALLED]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        print(f"for the figure of the image, run make image in {project} first")
        return
    lock = (project / "requirements" / "serve.lock").read_text(encoding="utf-8")
    locked = re.findall(r"^([^\s=]+==\S+) .*\n +--hash=sha256:", lock, re.MULTILINE)
    pins = (one.lower().split("==") for one in listed.split())
    found = {f"{re.sub('[-_.]+', '-', name)}=={number}" for name, number in pins}
    rest = [one for one in found - {*locked} if one.partition("==")[0] != project.name]
    measured = f"{len(rest)} of {len(found)}"
    yield "packages in the image that are not locked by version and hash", measured, "0"


def demo(project_type: str) -> tuple[Path, dict[str, float]]:
    """Return the project that `make demo` left, and the seconds of its steps."""
    record = DEMO / f"{project_type}.json"
    if not record.exists():
        sys.exit(f"error: run make demo TYPE={project_type} first")
    content = json.loads(record.read_text(encoding="utf-8"))
    return DEMO / content["project"], content["seconds"]


def lines(path: Path) -> int:
    """Return the number of lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def minutes_of(folder: Path, target: str) -> float:
    """Return how long a target of a Makefile takes; exit if it fails."""
    start = time.perf_counter()
    if subprocess.run(["make", target], cwd=folder, stdout=subprocess.DEVNULL).returncode:
        sys.exit(f"error: make {target} failed in {folder}")
    return (time.perf_counter() - start) / 60


def classification(metrics: dict, model: dict) -> list[Row]:
    """Return what is promised of a text classifier; int8 is measured whether chosen or not."""
    errors = metrics["calibration"]
    files = model["model_files"]
    lost = files["fp32"]["accuracy"] - files["int8"]["accuracy"]
    after = f"{errors['ece_after']:.3f}, before it {errors['ece_before']:.3f}"
    return [
        ("accuracy lost by ONNX", f"{100 * model['accuracy_lost']:.2f} points", "0.1"),
        ("calibration error after temperature scaling", after, "0.03"),
        ("accuracy lost by int8", f"{100 * lost:.2f} points", "0.5"),
    ]


def forecasting(metrics: dict, model: dict) -> list[Row]:
    """Return what is promised of a forecaster."""
    ours = metrics["model"]["wape"]
    naive = min(row["wape"] for name, row in metrics["baselines"].items() if "naive" in name)
    rows = [("WAPE below the best seasonal naive", f"{100 * (1 - ours / naive):.1f}%", "25%")]
    for name, row in metrics["versus"].items():
        low, high = row["interval_95"]
        text = f"{row['difference']:.3f}, 95% interval {low:+.3f} to {high:+.3f}"
        rows.append((f"WAPE lower than {name}", text, "interval above 0"))
    for level in (80, 95):
        covered = 100 * metrics["model"][f"coverage_{level}"]
        rows.append((f"coverage of the {level}% interval", f"{covered:.1f}%", "within 3 points"))
    return rows


def document_similarity(metrics: dict, model: dict) -> list[Row]:
    """Return what is promised of a search service."""
    rows = []
    for name, row in metrics["versus"].items():
        low, high = row["interval_95"]
        text = f"{row['difference']:.3f}, 95% interval {low:+.3f} to {high:+.3f}"
        rows.append((f"nDCG@10 higher than {name}", text, "interval above 0"))
    return rows


PROMISED = {
    "text-classification": classification,
    "forecasting": forecasting,
    "document-similarity": document_similarity,
}


def generate(project_type: str, folder: Path) -> Path:
    """Return a project that was generated with default answers."""
    options = ["--no-input", "--default-config", "--output-dir", str(folder)]
    command = [sys.executable, "-m", "cookiecutter", *options, str(TEMPLATE)]
    subprocess.run([*command, f"project_type={project_type}"], check=True, capture_output=True)
    [project] = folder.iterdir()
    return project


def generation_seconds() -> float:
    """Return the median CPU seconds of a generation less those of `cookiecutter --version`."""
    cookiecutter = [sys.executable, "-m", "cookiecutter"]
    differences = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            options = ["--no-input", "--default-config", "--output-dir", folder]
            generate = [*cookiecutter, *options, str(TEMPLATE)]
            differences.append(cpu_seconds(generate) - cpu_seconds([*cookiecutter, "--version"]))
    return statistics.median(differences)


def cpu_seconds(command: list[str]) -> float:
    """Return user and system seconds of a command and its children."""
    before = os.times()
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    return after[2] + after[3] - before[2] - before[3]


def cold_start_seconds(project: Path) -> float:
    """Return the median seconds from process start to the first 200 of `/ready`."""
    package = next(
        path.name for path in (project / "src").iterdir() if (path / "__main__.py").exists()
    )
    python = project / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    samples = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        server = subprocess.Popen(
            [str(python), "-m", package, "serve"],
            cwd=project,
            env={**os.environ, "PORT": str(PORT)},
            stdout=subprocess.DEVNULL,
        )
        try:
            while not ready(f"http://127.0.0.1:{PORT}/ready"):
                if server.poll() is not None:
                    sys.exit("error: the server stopped before it was ready")
                time.sleep(0.01)
            samples.append(time.perf_counter() - start)
        finally:
            server.terminate()
            server.wait(timeout=30)
    return statistics.median(samples)


def ready(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=5).status == 200
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    main(sys.argv[1:])
