"""Is the test set apart from what was trained and chosen on?"""

from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as parquet

from .criteria import NOT_CHECKED, NOT_YET, Finding, criterion, judge
from .project import Project
from .reading import part

KEYS = ("text", "query", "unique_id")  # the column that says what a row is about
MAX_ROWS, MAX_TABLE = 5_000_000, 1_000_000_000


@criterion("evaluation.no_overlap", "no test row is in the training or validation set")
def no_overlap(project: Project) -> Finding:
    folder = "data/processed"
    files = {split: f"{folder}/{split}.parquet" for split in ("train", "test")}
    if not all(map(project.has, files.values())):
        counts = part(project.data(f"{folder}/manifest.json"), "dropped")
        seen = [f"{folder} is missing (it is never committed)", *map(str, counts)]
        return Finding(NOT_CHECKED, seen, "Run `make data`, and review again; or use RUN=1.")
    if project.has(valid := f"{folder}/valid.parquet"):
        files["valid"] = valid  # settings are chosen on it, and some models trained in the end
    tables: dict[str, Any] = {}
    try:
        for split, name in files.items():
            path = project.file(name)
            about = parquet.read_metadata(path)
            size = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
            if about.num_rows > MAX_ROWS or size > MAX_TABLE:
                return Finding(
                    NOT_YET, [f"{name}: too large to read"], "Compare the splits yourself."
                )
            columns = [c for c in (*KEYS, "ds", "group") if c in about.schema.names]
            # Each text once: a repeated one is small on disk, however long it is.
            texts = [column for column in columns if column != "ds"]
            table = parquet.ParquetFile(path, read_dictionary=texts)
            read = table.read(columns=columns)
            tables[split] = {column: [*_values(read[column])] for column in columns}
    except (OSError, ValueError) as error:
        return Finding(NOT_YET, [f"{folder}: {error}"], "Run `make data`.")
    if part(project.params, "data").get("group_column", "") is None:
        for table in tables.values():
            table.pop("group", None)  # no more than the numbers of rows
    held_out = tables.pop("test")
    return _compare(tables, held_out)


def _values(column: Any) -> Iterator[Any]:
    """Yield a column's values; equal ones are one object."""
    for chunk in column.chunks:
        if hasattr(chunk, "dictionary"):
            names = chunk.dictionary.to_pylist()
            yield from (None if i is None else names[i] for i in chunk.indices.to_pylist())
        else:
            yield from chunk.to_pylist()


def _compare(tables: dict[str, dict[str, list[Any]]], test: dict[str, list[Any]]) -> Finding:
    advice = "Split first: by time or by group, with each repeated row in one split only."
    if "ds" in test and "unique_id" in test:  # series: the test rows have to come later
        last: dict[Any, Any] = {}
        for table in tables.values():
            for name, moment in zip(table["unique_id"], table["ds"], strict=True):
                last[name] = max(moment, last.get(name, moment))
        early = [
            moment
            for name, moment in zip(test["unique_id"], test["ds"], strict=True)
            if name in last and moment <= last[name]
        ]
        faults = [f"{len(early)} test rows are not later than the others"] if early else []
        return judge(faults, f"all {len(test['ds'])} test rows are later than the others", advice)
    key = next((name for name in KEYS if name in test), None)
    if key is None:
        return Finding(
            NOT_YET, [f"test.parquet: has none of the columns {', '.join(KEYS)}"], advice
        )
    # Equal rows first: taking each apart would take long.
    seen = {row for table in tables.values() for row in {*table.get(key, ())}}
    texts, held_out = (
        {" ".join(str(row).split()) for row in rows} for rows in (seen, {*test[key]})
    )
    both, where = sorted(texts & held_out), "the training or validation set"
    faults = [f"{len(both)} test texts are in {where}, for example {both[0]!r}"] if both else []
    evidence = [f"none of {len(held_out)} test texts is among the {len(texts)} of {where} ({key})"]
    seen = {group for table in tables.values() for group in table.get("group", ())}
    groups = seen & {*test.get("group", ())} - {None, ""}
    if groups:
        faults.append(f"{len(groups)} groups are in both, for example {next(iter(groups))!r}")
    return judge(faults, evidence, advice)
