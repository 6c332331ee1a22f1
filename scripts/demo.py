"""Goes from the prompts to a served answer: generate, set up, pipeline, serve, ask, stop."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent.parent
OUTPUT = TEMPLATE / "build" / "demo"


def main(project_type: str) -> None:
    start = time.perf_counter()
    seconds = {}
    with timed("generate", seconds):
        project = generate(project_type)
    with timed("set up", seconds):
        run("make", "setup", cwd=project)
    with timed("pipeline", seconds):
        run("make", "pipeline", cwd=project)
    with timed("serve and ask", seconds), serving(project) as url:
        run(sys.executable, "kit/portfolio_kit/deploy/smoke_test.py", url, cwd=project)
    seconds["total"] = time.perf_counter() - start
    print_metrics(project)
    print("; ".join(f"{step} {value:.1f} s" for step, value in seconds.items()))
    record = {"project": project.name, "seconds": seconds}
    (OUTPUT / f"{project_type}.json").write_text(json.dumps(record, indent=2) + "\n")
    print(f"\nThe project is in {os.path.relpath(project)}")


@contextlib.contextmanager
def timed(step: str, seconds: dict[str, float]) -> Iterator[None]:
    print(f"\n== {step}", flush=True)
    start = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - start


def generate(project_type: str) -> Path:
    """Generate a project with default answers in `build/demo/`, replacing the last one there."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUTPUT) as folder:
        command = ["-m", "cookiecutter", "--no-input", "--default-config", "--output-dir", folder]
        run(sys.executable, *command, str(TEMPLATE), f"project_type={project_type}", cwd=TEMPLATE)
        [generated] = Path(folder).iterdir()
        project = OUTPUT / generated.name
        shutil.rmtree(project, ignore_errors=True)
        return generated.rename(project)


def run(*command: str, cwd: Path) -> None:
    """Run a command; if it fails, end with its exit code."""
    result = subprocess.run(command, cwd=cwd)
    if result.returncode:
        sys.exit(f"error: {' '.join(command)} failed in {cwd}")


@contextlib.contextmanager
def serving(project: Path) -> Iterator[str]:
    """Run what `make serve` runs, on a free port, and yield its URL; stop it afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    python = project / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    package = next((project / "src").glob("*/__main__.py")).parent.name
    environment = {**os.environ, "PORT": str(port)}
    server = subprocess.Popen([python, "-m", package, "serve"], cwd=project, env=environment)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)


def print_metrics(project: Path) -> None:
    """Print the held-out metrics next to the baselines'."""
    metrics = json.loads((project / "reports" / "metrics.json").read_text())
    rows = {"this model": metrics["model"], **metrics["baselines"]}
    width = max(map(len, rows))
    print(f"\nheld-out test set, {metrics['data']['rows']['test']:,} rows")
    for name, scores in rows.items():
        text = "  ".join(f"{metric} {value:.3f}" for metric, value in scores.items())
        print(f"  {name:<{width}}  {text}")
    versus = metrics["versus_best_baseline"]
    low, high = versus["interval_95"]
    print(
        f"  {versus['metric']} {versus['difference']:+.3f} against {versus['baseline']}, "
        f"95% interval {low:+.3f} to {high:+.3f}"
    )


if __name__ == "__main__":
    main(sys.argv[1])
