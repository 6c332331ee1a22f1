"""Measures what each option of training costs and gains, and writes the table in docs/training.md.

Trains once per option on `data/processed/`, about forty minutes on two cores; the scores are those
of the validation set, since the test set is not for choosing. They cannot tell what a refit gains.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path("docs/training.md")
START, END = "<!-- options:start -->", "<!-- options:end -->"
LAUNCH = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
OPTIONS: dict[str, dict[str, object]] = {
    "as in `params.yaml`": {},
    "`precision: fp32`": {"precision": "fp32"},
    "`freeze_layers: 0`": {"freeze_layers": 0},
    "`class_weight_power: 0`": {"class_weight_power": 0},
    "`class_weight_power: 1`": {"class_weight_power": 1},
    "`accelerate launch`, 2 processes of 1 thread": {"threads": 1},
}


def main() -> None:
    rows = []
    for name, settings in OPTIONS.items():
        manifest = train(settings, LAUNCH if "launch" in name else [])
        scores = manifest["validation"]
        rows.append(
            f"| {name} | {manifest['train_seconds']:.0f} | {manifest['peak_memory_mb']:,.0f} | "
            f"{scores['accuracy']:.3f} | {scores['macro_f1']:.3f} | {scores['loss']:.3f} |"
        )
        print(rows[-1], flush=True)
    header = [
        "| option | seconds | memory, MB | accuracy | macro-F1 | loss |",
        "|---|---|---|---|---|---|",
    ]
    where = f"{os.cpu_count()} cores, {platform.machine()}, one run each, {sys.platform}:"
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.partition(START)[0], page.partition(END)[2]
    table = "\n".join([*header, *rows])
    text = f"{before}{START}\n{where}\n\n{table}\n{END}{after}"
    PAGE.write_text(text, encoding="utf-8", newline="\n")


def train(settings: dict[str, object], launch: list[str]) -> dict:
    """Train in a temporary folder, and return the manifest of the model."""
    package = next(Path("src").glob("*/__main__.py")).parent.name
    settings = {**settings, "refit": False}
    options = [f"--set=train.{key}={value}" for key, value in settings.items()]
    with tempfile.TemporaryDirectory() as folder:
        for name in ("params.yaml", "data"):
            copy = shutil.copytree if Path(name).is_dir() else shutil.copy
            copy(name, Path(folder) / name)
        Path(folder, ".cache").mkdir()
        shutil.copytree(".cache/backbone", Path(folder) / ".cache/backbone")
        command = [sys.executable, *launch, "-m", package, "train", *options]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return json.loads(Path(folder, "models/manifest.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
