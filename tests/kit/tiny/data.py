"""The data stage: texts from a file, in three splits."""

import json

from portfolio_kit import artifacts, sources, tables
from portfolio_kit.artifacts import PROCESSED, RAW
from portfolio_kit.records import Dataset

from .params import Params


def data(params: Params) -> None:
    path = sources.fetch(params.data.source, params.data.sha256, RAW, "data.source")
    columns = {"data.text_column": params.data.text_column}
    texts = tables.read(path, columns, "data.source").table[params.data.text_column].tolist()
    size = round(len(texts) * params.data.test_fraction)
    splits = {"test": texts[:size], "valid": texts[size : 2 * size], "train": texts[2 * size :]}
    for name, part in splits.items():
        artifacts.write_json(PROCESSED / f"{name}.json", part)
    dataset = Dataset.of(
        params,
        texts=((text, str(len(text))) for text in splits["train"]),
        sha256=artifacts.sha256(path),
        rows={name: len(part) for name, part in splits.items()},
        dropped={"too_odd": 0},
    )
    artifacts.write_manifest(PROCESSED, [f"{name}.json" for name in splits], dataset)


def read_split(name: str) -> list[str]:
    return json.loads((PROCESSED / f"{name}.json").read_text(encoding="utf-8"))
