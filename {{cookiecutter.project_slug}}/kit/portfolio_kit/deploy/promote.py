"""Decides whether a new model may replace the current one.

    python kit/portfolio_kit/deploy/promote.py [--not-worse]

The new model is that of reports/metrics.json, the current one that of the last commit. Prints a
Markdown table and a verdict. Exit code 0 means yes, 3 no, 1 that there is nothing to judge by. With
--not-worse, a difference that may be chance is a yes as well.

It compares the leads of both models over their best baselines, each on its own test set, because a
score also says how hard the rows are, and other data has other rows. The interval of the difference
combines the intervals of both leads as if they shared no row (MOVER: Zou and Donner 2008,
Statistics in Medicine 27). On the same rows it is wider than necessary: fewer better models pass
then, but no more of the others.
"""

import json
import subprocess
import sys
from math import hypot
from pathlib import Path
from typing import Any

METRICS = Path("reports/metrics.json")
YES, NO = 0, 3
NOTHING = {"difference": 0.0, "interval_95": [0.0, 0.0]}  # the lead of a baseline over itself


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--not-worse"]):
        sys.exit(f"error: {' '.join(arguments)}: unknown; the only option is --not-worse")
    try:
        new = parsed(METRICS.read_text(encoding="utf-8"), str(METRICS))
    except FileNotFoundError:
        sys.exit(f"error: {METRICS}: missing; run `make pipeline`")
    current = committed()
    verdict, reason = judge(new, current)
    print(f"{table(new, current)}\n\n{reason}")
    return YES if verdict in ("better", *(["undecided"] if arguments else [])) else NO


def committed() -> dict[str, Any] | None:
    """Return the metrics of the last commit, or None if it has none."""
    text = of_last_commit(METRICS)
    return parsed(text, f"{METRICS} of the last commit") if text else None


def of_last_commit(path: Path) -> str:
    """Return the text of a file in the last commit, or nothing if it has none."""
    name = path.as_posix()
    return git("show", f"HEAD:./{name}") if git("ls-tree", "HEAD", name) else ""


def git(*arguments: str) -> str:
    """Return what git prints; exit if it fails."""
    done = subprocess.run(["git", *arguments], capture_output=True, encoding="utf-8")
    if done.returncode:
        sys.exit(f"error: git {arguments[0]}: {' '.join(done.stderr.split())}")
    return done.stdout


def parsed(text: str, where: str) -> dict[str, Any]:
    """Return metrics that can be compared; exit if they cannot."""
    try:
        metrics = json.loads(text)
        lead = metrics["versus_best_baseline"] or {**NOTHING, "metric": "", "baseline": ""}
        [lead["metric"], lead["baseline"], lead["difference"] + sum(lead["interval_95"] or [0, 0])]
        [metrics["model_version"], metrics["data"]["sha256"][:12], metrics["model"].items()]
        format(metrics["data"]["rows"]["test"], ",")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        sys.exit(f"error: {where}: not as `make evaluate` writes it ({error}); run that again")
    return metrics


def judge(new: dict[str, Any], current: dict[str, Any] | None) -> tuple[str, str]:
    """Return better, worse or undecided, and why."""
    lead, other = new["versus_best_baseline"], current and current["versus_best_baseline"]
    if lead is None:
        return "undecided", new.get("not_measured", "Not measured.")
    if current and new["model_version"] == current["model_version"]:
        return "undecided", "**This is the current model**, rebuilt from the same data and code."
    if other and other["metric"] != lead["metric"]:
        return (
            "undecided",
            f"The current model was judged by {other['metric']}, which is not comparable.",
        )
    if not (lead["interval_95"] and (other or NOTHING)["interval_95"]):
        return "undecided", "There were too few forecasts to say whether the lead is chance."
    gain, low, high = difference(lead, other or NOTHING)
    rival = "the current one" if other else f"the best baseline, {lead['baseline']}"
    verdict, said = "undecided", f"Whether the new model or {rival} is better may be chance"
    if low > 0:
        verdict, said = "better", f"The new model is better than {rival}"
    if high < 0:
        verdict, said = "worse", f"The new model is worse than {rival}"
    if verdict == "better" and lead["interval_95"][0] <= 0:
        verdict, said = "undecided", f"{said}, but its lead over the best baseline may be chance"
    what = "The difference of the two leads" if other else "Its lead"
    metric = lead["metric"].replace("_", " ")
    reason = f"**{said}.** {what}, in {metric}: {gain:+.3f} (95% interval {low:+.3f} to {high:+.3f}"
    reason += "; above zero is better)."
    if other and current and new["data"] == current["data"]:
        reason += " Both were tested on the same data; the interval does not use that."
    elif other:
        reason += " The data changed, and the test rows with it, so the scores are not comparable."
    return verdict, reason


def difference(one: dict[str, Any], other: dict[str, Any]) -> tuple[float, float, float]:
    """Return how much greater one lead is than the other, and the 95% interval (MOVER)."""
    (low, high), (other_low, other_high) = one["interval_95"], other["interval_95"]
    gain = one["difference"] - other["difference"]
    below = hypot(one["difference"] - low, other_high - other["difference"])
    above = hypot(high - one["difference"], other["difference"] - other_low)
    return gain, gain - below, gain + above


def table(new: dict[str, Any], current: dict[str, Any] | None) -> str:
    """Return a Markdown table with a column per model."""
    scores = [name.replace("_", " ") for name in new["model"]]
    facts = ["best baseline", "lead over it", "95% interval", "test rows", "data"]
    columns = [["", "---", *scores, *facts]]
    if current:
        columns.append(column("current", current, list(new["model"])))
    columns.append(column("new", new, list(new["model"])))
    return "\n".join(f"| {' | '.join(row)} |" for row in zip(*columns, strict=True))


def column(title: str, metrics: dict[str, Any], names: list[str]) -> list[str]:
    """Return the cells of one model; "–" means not measured."""
    cells = [f"{title}: `{metrics['model_version']}`", "---"]
    cells += [
        format(metrics["model"][name], ".3f") if name in metrics["model"] else "–" for name in names
    ]
    lead = metrics["versus_best_baseline"]
    if lead:
        limits = lead["interval_95"]
        said = "{:+.3f} to {:+.3f}".format(*limits) if limits else "–"
        cells += [lead["baseline"], f"{lead['difference']:+.3f}", said]
    else:
        cells += ["–"] * 3
    data = metrics["data"]
    return [*cells, f"{data['rows']['test']:,}", f"`{data['sha256'][:12]}`"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
