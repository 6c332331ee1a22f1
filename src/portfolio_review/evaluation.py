"""Was the claimed score measured on a held-out test set, and does it beat a baseline?"""

import ast
import re

from .criteria import MET, NOT_YET, PARTLY, Finding, criterion, judge
from .origin import WRITTEN, triples
from .project import Project
from .reading import number, part
from .syntax import calls, dotted

# The metrics of each project type; the first one decides, unless the project chose another.
METRICS = {
    "text-classification": ("macro_f1", "accuracy", "ece"),
    "forecasting": ("wape", "mase", "coverage_80", "coverage_95"),
    "document-similarity": ("ndcg_at_10", "mrr_at_10", "recall_at_10", "recall_at_100"),
}
CHOICE = {"forecasting": ("wape", "mase", "mae")}  # `evaluate.metric`
ERRORS = ("wape", "mase", "mape", "mae", "rmse", "ece")  # lower is better
ENOUGH_WORDS = 15  # for a reason
RUN = "Run `make evaluate`."
TOO_FEW = "too few origins for a 95% interval"
MORE = "Forecast more origins: lower `evaluate.step_size`, or raise `data.test_fraction`."


@criterion("evaluation.held_out", "only `evaluate` opens the held-out test set")
def held_out(project: Project) -> Finding:
    package = f"src/{project.package}/"
    allowed = (f"{package}data/", f"{package}evaluation/", "tests/", "benchmarks/", "kit/")
    faults = [
        f"{name}:{line}: reads the test set"
        for name, tree in project.python.items()
        if tree is not None and not name.startswith(allowed)
        for line in _reads_of_test(tree)
    ]
    rows = part(part(project.metrics, "data"), "rows")
    if not rows:
        return Finding(NOT_YET, ["reports/metrics.json is missing"], RUN)
    if not number(rows.get("test")):
        faults.append("reports/metrics.json: no test rows")
    evidence = [f"reports/metrics.json: {rows.get('test')} test rows"]
    evidence.append("no module outside data/ and evaluation/ opens the test set")
    return judge(
        faults,
        evidence,
        "Choose settings on the validation set; only `evaluate` may read the test set.",
    )


def _reads_of_test(tree: ast.Module) -> list[int]:
    """Return the lines that open the test split: its file, `read_…("test")`, `splits["test"]`."""
    found = []
    for call, called in calls(tree):
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        if any(map(_is_test, given)) and re.search("read|load|split", called):
            found.append(call.lineno)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value.endswith(("test.parquet", "test.csv")):
                found.append(node.lineno)
        elif isinstance(node, ast.Subscript) and _is_test(node.slice):
            if "split" in dotted(node.value):
                found.append(node.lineno)
        elif isinstance(node, ast.For | ast.comprehension):  # over all splits
            splits = getattr(node.iter, "elts", ())
            if any(map(_is_test, splits)) and any(_is_test(one, "train") for one in splits):
                found.append(node.iter.lineno)
    return sorted({*found})


def _is_test(node: ast.expr, split: str = "test") -> bool:
    return isinstance(node, ast.Constant) and node.value == split


@criterion("evaluation.metrics", "metrics that fit the problem, with intervals and baselines")
def metrics(project: Project) -> Finding:
    if not project.metrics:
        return Finding(NOT_YET, ["reports/metrics.json is missing"], RUN)
    wanted = METRICS.get(project.type, ())
    model = part(project.metrics, "model")
    faults = [
        f"reports/metrics.json, `model`: {name} is missing" for name in wanted if name not in model
    ]
    if not wanted:
        faults.append(f"reports/metrics.json: unknown project type {project.type!r}")
    intervals = part(project.metrics, "intervals_95")
    baselines = part(project.metrics, "baselines")
    chosen = part(project.metrics, "versus_best_baseline").get("metric")
    for decides in [chosen] if chosen in CHOICE.get(project.type, ()) else wanted[:1]:
        if not isinstance(intervals.get(decides), list):
            few = f" ({TOO_FEW})" if has_too_few(project) else ""
            faults.append(f"reports/metrics.json, `intervals_95`: {decides} is missing{few}")
    if len(baselines) < 2:
        faults.append(f"reports/metrics.json: {len(baselines)} baselines, fewer than two")
    values = {name: number(model.get(name)) for name in wanted}
    faults += [
        f"reports/metrics.json, `model.{name}`: {model[name]!r} is not a number"
        for name, value in values.items()
        if name in model and value is None
    ]
    shown = ", ".join(f"{name} {value:.3f}" for name, value in values.items() if value is not None)
    evidence = [
        f"reports/metrics.json: {shown}",
        f"baselines: {'; '.join(baselines)}",
        f"intervals: {', '.join(intervals)}",
    ]
    advice = MORE if has_too_few(project) else "Let `evaluate` measure what is missing."
    return judge(faults, evidence, advice)


def has_too_few(project: Project) -> bool:
    """Tell whether `evaluate` could not say if the lead is chance."""
    versus = part(project.metrics, "versus_best_baseline")
    return "interval_95" in versus and versus["interval_95"] is None


@criterion("evaluation.baseline", "better than the best baseline, or README.md says why not")
def baseline(project: Project) -> Finding:
    versus = part(project.metrics, "versus_best_baseline")
    interval = versus.get("interval_95")
    if has_too_few(project):
        found = f"{versus.get('metric')} against {versus.get('baseline')}: {TOO_FEW}"
        return Finding(NOT_YET, [f"reports/metrics.json: {found}"], MORE)
    if not isinstance(interval, list) or len(interval) != 2 or None in map(number, interval):
        return Finding(NOT_YET, ["reports/metrics.json: no comparison with a baseline"], RUN)
    rival, metric = str(versus.get("baseline")), str(versus.get("metric"))
    difference, (low, high) = number(versus.get("difference")) or 0.0, map(float, interval)
    said = (
        f"reports/metrics.json: {metric} {difference:+.3f} over {rival}, "
        f"95% interval {low:+.3f} to {high:+.3f}"
    )
    table = part(project.metrics, "baselines")
    found = ((name, number(part(table, name).get(metric))) for name in table)
    sign = 1 if metric in ERRORS else -1
    scores = {name: sign * score for name, score in found if score is not None}
    best = min(scores, key=scores.__getitem__, default=rival)
    if scores.get(rival) != scores.get(best):
        return Finding(NOT_YET, [said, f"{best} is a better baseline than {rival}"], RUN)
    if difference > 0 and low > 0:
        return Finding(MET, [said])
    for heading in ("Results", "Limits", "Trade-offs", "What to improve"):
        # What the run writes, like any table, repeats the scores and explains nothing.
        for paragraph in WRITTEN.sub("\n\n", project.section(heading)).split("\n\n"):
            names = re.search(f"baseline|{re.escape(rival)}", paragraph, re.IGNORECASE)
            own = names and not paragraph.lstrip().startswith("|")
            own = own and project.from_template(paragraph) < 0.3
            own = own and len(triples(paragraph)) >= ENOUGH_WORDS - 2
            if own and "<!--" not in paragraph and "95% interval" not in paragraph:
                return Finding(MET, [said, f"README.md, {heading}: {paragraph.strip()[:200]}"])
    advice = (
        "Improve the model, or explain in README.md (Limits) why it does not beat the baseline."
    )
    return Finding(
        PARTLY if difference > 0 else NOT_YET, [said, "README.md: no explanation"], advice
    )
