"""The report stage: the README's results section and the model card, from what the run wrote."""

import json
from pathlib import Path
from typing import Any

from ..about import about_project
from ..artifacts import METRICS, MODELS, PROCESSED, REPORTS, read_manifest, write_text
from ..errors import UserError
from .figures import CAPTIONS, MORE, ROWS, highlights, model_card_sections
from .results import table, verdict

README = Path("README.md")
START, END = "<!-- results:start -->", "<!-- results:end -->"


def run(params: Any) -> None:
    """Rewrite what stands between the README's markers, and the model card."""
    if not METRICS.is_file():
        raise UserError(f"{METRICS}: not written yet; run evaluate first")
    metrics = json.loads(METRICS.read_text(encoding="utf-8"))
    data, model = read_manifest(PROCESSED, "data"), read_manifest(MODELS, "train")
    if metrics["model_version"] != model["version"]:
        raise UserError(
            f"{METRICS} is of model {metrics['model_version']}, and {MODELS} holds "
            f"{model['version']}; run evaluate again"
        )
    readme = README.read_text(encoding="utf-8")
    before, _, rest = readme.partition(START)
    old, end, after = rest.partition(END)
    if not end or START in old + after or END in before + after:
        raise UserError(f"{README}: put {START} and then {END} once each where results belong")
    write_text(README, f"{before}{START}\n{results_section(metrics)}\n{END}{after}")
    write_text(REPORTS / "model_card.md", model_card(metrics, data, model))
    print(f"wrote the results section of {README} and {REPORTS / 'model_card.md'}")


def results_section(metrics: dict[str, Any]) -> str:
    """Return the README's results: the comparison, what it means, and the figures."""
    rows = metrics["data"]["rows"]
    return "\n\n".join(
        [
            f"On {rows['test']:,} held-out {ROWS} (trained on {rows['train']:,}):",
            table(metrics),
            f"**{verdict(metrics)}.** {_intervals(metrics)}",
            highlights(metrics),
            *(
                f"![{caption}](reports/figures/{name})"
                for name, caption in CAPTIONS.items()
                if name not in metrics.get("not_drawn", ())
            ),
            f"Model `{metrics['model_version']}`, trained in {metrics['train_seconds']:.0f} s with "
            f"{metrics['peak_memory_mb']:.0f} MB of memory. Every number comes from "
            "[`reports/metrics.json`](reports/metrics.json); "
            f"[the model card](reports/model_card.md) has more{MORE}.",
        ]
    )


def model_card(metrics: dict[str, Any], data: dict[str, Any], model: dict[str, Any]) -> str:
    """Return a model card (Mitchell et al. 2019) with what the run knows, and nothing else."""
    about = about_project()
    rows, dropped = (
        ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in data[key].items())
        for key in ("rows", "dropped")
    )
    sections = [
        f"# Model card: {about['Name']} `{model['version']}`",
        f"## Intended use\n\n{about['Summary']}",
        f"## Training data\n\n`{data['source']}` (sha256 `{data['sha256']}`), split with seed "
        f"{data['seed']}: {rows} {ROWS}. Left out: {dropped or 'nothing'}. Terms: "
        "`data/README.md`.",
        f"## Evaluation on the held-out test set\n\n{table(metrics)}",
        f"{verdict(metrics)}. {_intervals(metrics)}",
        *model_card_sections(metrics, model),
        "## Files",
        "\n".join(f"- `models/{name}`: sha256 `{hash_}`" for name, hash_ in model["files"].items()),
    ]
    return "\n\n".join(sections) + "\n"


def _intervals(metrics: dict[str, Any]) -> str:
    if not metrics["intervals_95"]:
        return ""
    parts = [
        f"{name.replace('_', ' ')} {low:.3f} to {high:.3f}"
        for name, (low, high) in metrics["intervals_95"].items()
    ]
    return f"95% intervals of this model: {'; '.join(parts)}."
