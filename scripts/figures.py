"""Measures what the template promises: python scripts/figures.py TYPE, after `make demo`."""

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tokenize
import urllib.error
import urllib.request
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent.parent
DEMO = TEMPLATE / "build" / "demo"
ROUNDS = 7
PORT = 8731
LAYOUT = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.ENCODING, tokenize.ENDMARKER),
}


def main(project_type: str) -> None:
    rows = [
        ("cookiecutter --no-input", f"{generation_seconds(project_type):.2f} s of CPU above", "0.6")
    ]
    record = DEMO / f"{project_type}.json"
    if not record.exists():
        print(f"run make demo TYPE={project_type} first for the other figures")
    else:
        demo = json.loads(record.read_text())
        project, seconds = DEMO / demo["project"], demo["seconds"]
        metrics = json.loads((project / "reports" / "metrics.json").read_text())
        model = json.loads((project / "models" / "manifest.json").read_text())
        versus = metrics["versus_best_baseline"]
        low, high = versus["interval_95"]
        lines = [len(text.splitlines()) for text in sources(project)]
        rows += [
            ("make demo", f"{seconds['total'] / 60:.1f} minutes", "10"),
            (
                f"{versus['metric']} against {versus['baseline']}",
                f"{versus['difference']:+.3f}, 95% interval {low:+.3f} to {high:+.3f}",
                "interval above 0",
            ),
            *PROMISED[project_type](metrics, model),
            ("cold start", f"{cold_start_seconds(project):.2f} s", "2"),
            ("src/", f"{sum(code_lines(project)):,} lines of code, {sum(lines):,} in all", "1,500"),
            ("longest module", f"{max(lines)} lines", "300"),
        ]
        bench = project / "reports" / "bench.json"
        if bench.exists():
            figures = json.loads(bench.read_text(encoding="utf-8"))["figures"]
            rows += [(one["name"], one["measured"], one["target"]) for one in figures]
        else:
            print(f"for the figures of serving, run make bench in {project} first")
    for what, measured, target in rows:
        print(f"{what:<58} {measured:<45} (target {target})")


def classification(metrics: dict, model: dict) -> list[tuple[str, str, str]]:
    """Return what is promised of a text classifier; int8 is measured whether chosen or not."""
    errors = metrics["calibration"]
    lost = model["fp32"]["accuracy"] - model["int8"]["accuracy"]
    after = f"{errors['ece_after']:.3f}, before it {errors['ece_before']:.3f}"
    return [
        ("accuracy lost by ONNX", f"{100 * model['onnx']['accuracy_lost']:.2f} points", "0.1"),
        ("calibration error after temperature scaling", after, "0.03"),
        ("accuracy lost by int8", f"{100 * lost:.2f} points", "0.5"),
    ]


def forecasting(metrics: dict, model: dict) -> list[tuple[str, str, str]]:
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


def document_similarity(metrics: dict, model: dict) -> list[tuple[str, str, str]]:
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


def generation_seconds(project_type: str) -> float:
    """Return the median CPU seconds of a generation less those of `cookiecutter --version`."""
    cookiecutter = [sys.executable, "-m", "cookiecutter"]
    differences = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            options = ["--no-input", "--default-config", "--output-dir", folder]
            generate = [*cookiecutter, *options, str(TEMPLATE), f"project_type={project_type}"]
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


def sources(project: Path) -> list[str]:
    """Return the text of each Python file below src/."""
    return [path.read_text(encoding="utf-8") for path in (project / "src").rglob("*.py")]


def code_lines(project: Path) -> list[int]:
    """Return the lines of each file that are neither blank nor comment nor docstring."""
    counts = []
    for text in sources(project):
        lines: set[int] = set()
        start_of_statement = True
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            is_docstring = token.type == tokenize.STRING and start_of_statement
            if token.type not in LAYOUT and not is_docstring:
                lines.update(range(token.start[0], token.end[0] + 1))
            start_of_statement = token.type in LAYOUT
        counts.append(len(lines))
    return counts


if __name__ == "__main__":
    main(sys.argv[1])
