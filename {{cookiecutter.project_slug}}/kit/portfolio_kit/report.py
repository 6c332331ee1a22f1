"""The report stage: what the run writes into the README, an example request, the model card."""

import re
from pathlib import Path

from . import data_section, examples
from .artifacts import (
    METRICS,
    MODELS,
    PROCESSED,
    REPORTS,
    read_manifest,
    read_metrics,
    write_json,
    write_text,
)
from .config import Settings
from .errors import UserError
from .markdown import legend
from .project import Project, Reporting
from .records import Dataset, Manifest, Metrics, Versus

README = Path("README.md")
SINCE = ("data", "request")  # blocks that a README of an older version lacks


def write_metrics(metrics: Metrics) -> None:
    """Write `reports/metrics.json` and print its table; call it once the figures are drawn."""
    from .fonts import MARKS  # where the other stages run, matplotlib may be missing

    metrics = metrics.model_copy(update={"marks": MARKS})
    write_json(METRICS, metrics.model_dump(mode="json"))
    print(f"{table(metrics)}\n{METRICS}: version {metrics.model_version}. {verdict(metrics)}.")


def report(project: Project, params: Settings) -> None:
    """Rewrite the text between the README's markers, the example request, and the model card."""
    says = project.reporting()
    data = read_manifest(PROCESSED, says.dataset, "data")
    model = read_manifest(MODELS, says.manifest, "train")
    metrics = read_metrics(says.metrics, model.version)
    texts = params.serve.examples or model.examples or ["an example"]
    request = says.request(texts, model)
    written = {
        "headline": headline(metrics, says),
        "results": results(metrics, says),
        "data": data_section.section(data, says.rows),
        "request": examples.shown(request),
    }
    readme = README.read_text(encoding="utf-8")
    for name, text in written.items():
        readme = fill(readme, name, text)
    write_text(README, readme)
    write_json(examples.REQUEST, request)
    write_text(REPORTS / "model_card.md", model_card(project, metrics, data, model))
    print(f"wrote results and data into {README}, {examples.REQUEST}, {REPORTS / 'model_card.md'}")


def fill(readme: str, name: str, text: str) -> str:
    """Return the README with `text` between its markers of that name.

    Raises `UserError` unless there is one of each, in order. A README of an older version may lack
    those of `SINCE`, and stays as it is.
    """
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    parts = re.split(f"({start}|{end})", readme)
    if len(parts) == 1 and name in SINCE:
        print(f"note: {README} has no {start} and {end}: put them where the {name} belongs")
        return readme
    if parts[1::2] != [start, end]:
        raise UserError(f"{README}: put {start} and then {end} once each where the {name} belongs")
    return f"{parts[0]}{start}\n{text}\n{end}{parts[-1]}"


def headline(metrics: Metrics, says: Reporting) -> str:
    """Return what the README opens with: the result against the best baseline, and one figure."""
    versus = metrics.versus_best_baseline
    if versus is None:
        result = metrics.not_measured
    else:
        what, link = comparison(versus)
        if link == "than":
            size = f"{abs(versus.difference):.3f}"
            lead = f"{size} {what} than {versus.baseline} ({interval(versus)})"
        else:
            size = f"{versus.difference:+.3f}"
            lead = f"{what} from {versus.baseline} ({size}, {interval(versus)})"
        score = says.score if isinstance(says.score, str) else says.score[versus.metric]
        rows = f"{metrics.data.rows['test']:,} held-out {says.rows}"
        scored = says.scored(metrics) if says.scored else rows
        result = f"{score.format(metrics.model[versus.metric])} on {scored}: {lead}"
    return f"**{result}.**\n\n{_figures(metrics, says)[0]}"


def results(metrics: Metrics, says: Reporting) -> str:
    """Return the README's results: the comparison, what it means, and the other figures."""
    rows = sum(metrics.data.rows[name] for name in metrics.trained_on)
    trained = f"trained on {rows:,}"
    if says.scored:
        trained += f" {says.rows}"
    scored = says.scored(metrics) if says.scored else data_section.test_set(metrics.data, says.rows)
    parts = [
        f"On {scored} ({trained}):",
        table(metrics),
        f"**{verdict(metrics)}.** {_intervals(metrics)}",
        says.highlights(metrics),
        "\n".join(_figures(metrics, says)[1:]),
        legend(metrics.marks),
        f"Model `{metrics.model_version}`, trained in {metrics.train_seconds:.0f} s with "
        f"{metrics.peak_memory_mb:.0f} MB of memory. Every number comes from "
        "[`reports/metrics.json`](reports/metrics.json); "
        f"[the model card](reports/model_card.md) has more{says.more}.",
    ]
    return "\n\n".join(filter(None, parts))


def model_card(project: Project, metrics: Metrics, data: Dataset, model: Manifest) -> str:
    """Return a model card (Mitchell et al. 2019) with what the run knows, and nothing else."""
    says = project.reporting()
    sections = [
        f"# Model card: {project.about['Name']} `{model.version}`",
        f"## Intended use\n\n{project.about['Summary']}",
        f"## Training data\n\n{data_section.facts(data, says.rows, '../')}",
        f"## Evaluation on the held-out test set\n\n{table(metrics)}",
        f"{verdict(metrics)}. {_intervals(metrics)}",
        *says.model_card(metrics, model),
        "## Files",
        "\n".join(f"- `models/{name}`: sha256 `{hash_}`" for name, hash_ in model.files.items()),
    ]
    return "\n\n".join(sections) + "\n"


def table(metrics: Metrics) -> str:
    """Return a Markdown table of the model, in bold, and its baselines; "–" means no score."""
    names = list(metrics.model)
    if not names:
        return "Nothing could be scored."
    lines = [f"| | {' | '.join(names)} |".replace("_", " "), "|---" * (len(names) + 1) + "|"]
    for row, scores in {"**this model**": metrics.model, **metrics.baselines}.items():
        cells = [f"{scores[name]:.3f}" if name in scores else "–" for name in names]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


def verdict(metrics: Metrics) -> str:
    """Return one sentence: the lead over the best baseline, if it is more than chance."""
    versus = metrics.versus_best_baseline
    if versus is None:
        return metrics.not_measured or ""
    what, link = comparison(versus)
    return (
        f"{what.capitalize()} in {versus.metric.replace('_', ' ')} {link} the best baseline, "
        f"{versus.baseline}: {versus.difference:+.3f} (paired bootstrap, {interval(versus)})"
    )


def comparison(versus: Versus) -> tuple[str, str]:
    """Return how the model compares, in words, and the word that leads to the baseline's name."""
    if versus.interval_95 is None:
        return "too few origins to say if there is a difference", "from"
    low, high = versus.interval_95
    if low > 0 or high < 0:
        return "better" if low > 0 else "worse", "than"
    return "no difference beyond chance", "from"


def interval(versus: Versus) -> str:
    """Return the 95% interval of a difference."""
    if versus.interval_95 is None:
        return "no 95% interval"
    low, high = versus.interval_95
    return f"95% interval {low:+.3f} to {high:+.3f}"


def _figures(metrics: Metrics, says: Reporting) -> list[str]:
    """Return the figures that were drawn, the most telling first."""
    drawn = (pair for pair in says.captions.items() if pair[0] not in metrics.not_drawn)
    return [f"![{caption}](reports/figures/{name})" for name, caption in drawn]


def _intervals(metrics: Metrics) -> str:
    parts = [
        f"{name.replace('_', ' ')} {low:.3f} to {high:.3f}"
        for name, (low, high) in metrics.intervals_95.items()
    ]
    return f"95% intervals of this model: {'; '.join(parts)}." if parts else ""
