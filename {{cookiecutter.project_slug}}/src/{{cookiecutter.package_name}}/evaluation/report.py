"""The report stage: the README's headline and results, and the model card."""

import json
import re
from pathlib import Path
from typing import Any

from ..about import about_project
from ..artifacts import METRICS, MODELS, PROCESSED, REPORTS, read_manifest, write_text
from ..errors import UserError
from .figures import CAPTIONS, METRIC, MORE, ROWS, highlights, model_card_sections
from .results import interval, table, verdict

README = Path("README.md")


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
    for name, text in (("headline", headline(metrics)), ("results", results_section(metrics))):
        readme = fill(readme, name, text)
    write_text(README, readme)
    write_text(REPORTS / "model_card.md", model_card(metrics, data, model))
    print(f"wrote the headline and the results of {README}, and {REPORTS / 'model_card.md'}")


def fill(readme: str, name: str, text: str) -> str:
    """Return the README with `text` between its markers of that name.

    Raises `UserError` unless there is one of each, in order.
    """
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    parts = re.split(f"({start}|{end})", readme)
    if parts[1::2] != [start, end]:
        raise UserError(f"{README}: put {start} and then {end} once each where the {name} belongs")
    return f"{parts[0]}{start}\n{text}\n{end}{parts[-1]}"


def headline(metrics: dict[str, Any]) -> str:
    """Return what the README opens with: the result beside the best baseline, and one figure."""
    versus = metrics["versus_best_baseline"]
    if versus is None:
        result = metrics["not_measured"]
    else:
        score = METRIC.format(metrics["model"][versus["metric"]])
        lead = versus["difference"]
        result = (
            f"{score} on {metrics['data']['rows']['test']:,} held-out {ROWS}: {abs(lead):.3f} "
            f"{'better' if lead >= 0 else 'worse'} than {versus['baseline']} ({interval(versus)})"
        )
    return f"**{result}.**\n\n{_figures(metrics)[0]}"


def results_section(metrics: dict[str, Any]) -> str:
    """Return the README's results: the comparison, what it means, and the other figures."""
    rows = metrics["data"]["rows"]
    return "\n\n".join(
        [
            f"On {rows['test']:,} held-out {ROWS} (trained on {rows['train']:,}):",
            table(metrics),
            f"**{verdict(metrics)}.** {_intervals(metrics)}",
            highlights(metrics),
            *_figures(metrics)[1:],
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


def _figures(metrics: dict[str, Any]) -> list[str]:
    """Return those that were drawn, the most telling first."""
    return [
        f"![{caption}](reports/figures/{name})"
        for name, caption in CAPTIONS.items()
        if name not in metrics.get("not_drawn", ())
    ]


def _intervals(metrics: dict[str, Any]) -> str:
    if not metrics["intervals_95"]:
        return ""
    parts = [
        f"{name.replace('_', ' ')} {low:.3f} to {high:.3f}"
        for name, (low, high) in metrics["intervals_95"].items()
    ]
    return f"95% intervals of this model: {'; '.join(parts)}."
