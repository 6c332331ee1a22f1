"""Is the figure that is claimed one that the held-out test set said, and better than a baseline?"""

import ast
import re
from collections.abc import Iterator
from typing import Any

from .criteria import MET, NOT_ASKED, NOT_YET, PARTLY, Finding, criterion, judge
from .origin import triples
from .project import Project, calls, dotted, number, part

# The metrics of each project type: the first decides.
METRICS = {
    "text-classification": ("macro_f1", "accuracy", "ece"),
    "forecasting": ("wape", "mase", "coverage_80", "coverage_95"),
    "document-similarity": ("ndcg_at_10", "mrr_at_10", "recall_at_10", "recall_at_100"),
}
ERRORS = ("wape", "mase", "mape", "mae", "rmse", "ece")  # of which less is better
KEYS = ("text", "query", "unique_id")  # the column that says what a row is about
MAX_ROWS, MAX_TABLE = 5_000_000, 1_000_000_000
ENOUGH_WORDS = 15  # for a reason
RUN = "Run `make evaluate`."


@criterion("evaluation.held_out", "only `evaluate` opens the held-out test set")
def held_out(project: Project) -> Finding:
    package = f"src/{project.package}/"
    allowed = (f"{package}data/", f"{package}evaluation/", "tests/", "benchmarks/", "review/")
    faults = [
        f"{name}:{line}: reads the test set"
        for name, tree in project.python.items()
        if tree is not None and not name.startswith(allowed)
        for line in _reads_of_test(tree)
    ]
    rows = part(part(project.metrics, "data"), "rows")
    if not rows:
        return Finding(NOT_YET, ["reports/metrics.json: not here"], RUN)
    if not number(rows.get("test")):
        faults.append("reports/metrics.json: no test rows")
    evidence = [f"reports/metrics.json: {rows.get('test')} test rows"]
    evidence.append("no module outside of data/ and evaluation/ opens the test set")
    return judge(faults, evidence, "Choose settings on the validation set; leave test to evaluate.")


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
        elif isinstance(node, ast.For | ast.comprehension):  # over all of the splits
            splits = getattr(node.iter, "elts", ())
            if any(map(_is_test, splits)) and any(_is_test(one, "train") for one in splits):
                found.append(node.iter.lineno)
    return sorted({*found})


def _is_test(node: ast.expr, split: str = "test") -> bool:
    return isinstance(node, ast.Constant) and node.value == split


@criterion("evaluation.no_overlap", "no row of the test set is in the training set")
def no_overlap(project: Project) -> Finding:
    folder = "data/processed"
    files = {split: f"{folder}/{split}.parquet" for split in ("train", "test")}
    if not all(map(project.has, files.values())):
        counts = part(project.data(f"{folder}/manifest.json"), "dropped")
        seen = [f"{folder}: not here (it is never committed)", *map(str, counts)]
        return Finding(NOT_ASKED, seen, "Run `make data` and review again, or RUN=1.")
    try:
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        return Finding(NOT_ASKED, ["pyarrow: not installed here"], "Install pyarrow.")
    tables: dict[str, Any] = {}
    try:
        for split, name in files.items():
            about = parquet.read_metadata(project.root / name)
            size = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
            if about.num_rows > MAX_ROWS or size > MAX_TABLE:
                return Finding(NOT_YET, [f"{name}: too large to be read"], "Review by hand.")
            columns = [c for c in (*KEYS, "ds", "group") if c in about.schema.names]
            # Each text once: one that is repeated is small on disk, whatever its length.
            texts = [column for column in columns if column != "ds"]
            table = parquet.ParquetFile(project.root / name, read_dictionary=texts)
            read = table.read(columns=columns)
            tables[split] = {column: [*_values(read[column])] for column in columns}
    except (OSError, ValueError) as error:
        return Finding(NOT_YET, [f"{folder}: {error}"], "Run `make data`.")
    return _compare(tables["train"], tables["test"])


def _values(column: Any) -> Iterator[Any]:
    """Yield the values of a column, of which equal ones are one object."""
    for chunk in column.chunks:
        if hasattr(chunk, "dictionary"):
            names = chunk.dictionary.to_pylist()
            yield from (None if i is None else names[i] for i in chunk.indices.to_pylist())
        else:
            yield from chunk.to_pylist()


def _compare(train: dict[str, list[Any]], test: dict[str, list[Any]]) -> Finding:
    advice = "Split before anything is learnt: by time, by group, and without repeated rows."
    if "ds" in test and "unique_id" in test:  # a series: the test block has to come after
        last: dict[Any, Any] = {}
        for name, moment in zip(train["unique_id"], train["ds"], strict=True):
            last[name] = max(moment, last.get(name, moment))
        early = [
            moment
            for name, moment in zip(test["unique_id"], test["ds"], strict=True)
            if name in last and moment <= last[name]
        ]
        faults = [f"{len(early)} test rows are not after the training rows"] if early else []
        return judge(faults, f"all {len(test['ds'])} test rows come after training", advice)
    key = next((name for name in KEYS if name in test), None)
    if key is None:
        return Finding(NOT_YET, [f"test.parquet: none of the columns {', '.join(KEYS)}"], advice)
    # Of equal rows one, before any of them is taken apart.
    texts, held_out = (
        {" ".join(str(row).split()) for row in {*rows.get(key, ())}} for rows in (train, test)
    )
    both = sorted(texts & held_out)
    faults = [f"{len(both)} test texts are in training, {both[0]!r} for one"] if both else []
    evidence = [f"none of {len(held_out)} test texts is among {len(texts)} of training ({key})"]
    groups = set(train.get("group", ())) & set(test.get("group", ())) - {None, ""}
    if groups:
        faults.append(f"{len(groups)} groups are in both, {next(iter(groups))!r} for one")
    return judge(faults, evidence, advice)


@criterion("evaluation.metrics", "metrics that fit the problem, with intervals and baselines")
def metrics(project: Project) -> Finding:
    if not project.metrics:
        return Finding(NOT_YET, ["reports/metrics.json: not here"], RUN)
    wanted = METRICS.get(project.type, ())
    model = part(project.metrics, "model")
    faults = [f"reports/metrics.json, `model`: no {name}" for name in wanted if name not in model]
    if not wanted:
        faults.append(f"reports/metrics.json: unknown project type {project.type!r}")
    intervals = part(project.metrics, "intervals_95")
    baselines = part(project.metrics, "baselines")
    if wanted and not isinstance(intervals.get(wanted[0]), list):
        faults.append(f"reports/metrics.json, `intervals_95`: none of {wanted[0]}")
    if len(baselines) < 2:
        faults.append(f"reports/metrics.json: {len(baselines)} baselines; two or more are wanted")
    values = {name: number(model.get(name)) for name in wanted}
    faults += [
        f"reports/metrics.json, `model.{name}`: {model[name]!r} is no number"
        for name, value in values.items()
        if name in model and value is None
    ]
    shown = ", ".join(f"{name} {value:.3f}" for name, value in values.items() if value is not None)
    evidence = [
        f"reports/metrics.json: {shown}",
        f"baselines: {'; '.join(baselines)}",
        f"intervals: {', '.join(intervals)}",
    ]
    return judge(faults, evidence, "Give evaluate the metric, a baseline or the bootstrap.")


@criterion("evaluation.baseline", "better than the best baseline, or README.md says why not")
def baseline(project: Project) -> Finding:
    versus = part(project.metrics, "versus_best_baseline")
    interval = versus.get("interval_95")
    if not isinstance(interval, list) or len(interval) != 2 or None in map(number, interval):
        return Finding(NOT_YET, ["reports/metrics.json: not compared with a baseline"], RUN)
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
        for paragraph in project.section(heading).split("\n\n"):
            names = re.search(f"baseline|{re.escape(rival)}", paragraph, re.IGNORECASE)
            own = names and project.of_the_template(paragraph) < 0.3
            own = own and len(triples(paragraph)) >= ENOUGH_WORDS - 2
            if own and "<!--" not in paragraph and "95% interval" not in paragraph:
                return Finding(MET, [said, f"README.md, {heading}: {paragraph.strip()[:200]}"])
    advice = "Improve it, or say in README.md (Limits) why the baseline is not beaten."
    return Finding(PARTLY if difference > 0 else NOT_YET, [said, "README.md: no reason"], advice)
