"""Corpora of several sizes, prepared and trained as the project does it: in `.cache/large/`.

A document is a few sentences of the project's own corpus, drawn at random. There are no queries, so
the pretrained encoder is used unchanged.
"""

import hashlib
import json
import random
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import portfolio_kit
from portfolio_kit import artifacts
from portfolio_kit.artifacts import MODELS, PROCESSED
from portfolio_kit.bench import measure
from portfolio_kit.retrieval.documents import Documents
from portfolio_kit.text.encoder import fetch_backbone

from {{ cookiecutter.package_name }} import predictor
from {{ cookiecutter.package_name }}.data.prepare import CORPUS
from {{ cookiecutter.package_name }}.params import Params
from {{ cookiecutter.package_name }}.predictor import Manifest
from {{ cookiecutter.package_name }}.project import PROJECT

FOLDER = Path(".cache/large")
SIZES = (10_000, 100_000)
SENTENCES = (2, 3)  # of a document
WORDS = 15  # of a sentence, at most: short, or the encoder would take most of the time
END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
RECIPE = "made-from.json"
PACKAGE, KIT = Path(predictor.__file__).parent, Path(portfolio_kit.__file__).parent
CODE = (
    PACKAGE / "data",
    PACKAGE / "training",
    PACKAGE / "predictor.py",
    KIT / "retrieval",
    KIT / "text",
)
VERBS = ("data", "train")


def folder(documents: int, params: Params) -> Path:
    """Return the folder whose `models/` holds this many documents; making it takes minutes."""
    found = FOLDER / str(documents)
    recipe = made_from(documents, params)
    try:
        is_current = json.loads((found / RECIPE).read_text(encoding="utf-8")) == recipe
    except (OSError, ValueError):
        is_current = False
    if not is_current:
        print(f"{found}: preparing {documents:,} documents", flush=True)
        build(documents, params)
    (found / "params.yaml").write_bytes(Path("params.yaml").read_bytes())
    artifacts.read_manifest(found / MODELS, Manifest, made_by="bench")
    return found


def build(documents: int, params: Params) -> dict[str, tuple[float, int]]:
    """Make the folder; return the seconds and the peak bytes of each verb."""
    target = FOLDER / str(documents)
    (target / "corpus").mkdir(parents=True, exist_ok=True)
    (target / RECIPE).unlink(missing_ok=True)
    texts = sentences(Documents(PROCESSED / CORPUS))
    write_corpus(target / "corpus" / "corpus.jsonl", documents, texts)
    backbone = fetch_backbone(params.model.backbone, params.model.sha256).resolve()
    options = {**settings(params), "model.backbone": json.dumps(str(backbone))}
    costs = {verb: measure.run(PROJECT.package, target, options, verb) for verb in VERBS}
    artifacts.write_json(target / RECIPE, made_from(documents, params))
    return costs


def settings(params: Params) -> dict[str, str]:
    """Return the settings of `data` and `train`: the parameters in force, but for the source."""
    options = {
        f"{section}.{name}": value
        for section in ("model", "train", "index")
        for name, value in params.model_dump()[section].items()
    }
    options |= {
        "data.source": "corpus",
        "data.sha256": None,
        "data.near_duplicate_similarity": None,
        "index.exact_below": 0,  # a graph at any size, to compare with exact search
        "index.qdrant_url": None,
    }
    return {name: json.dumps(value) for name, value in options.items()}


def made_from(documents: int, params: Params) -> dict[str, Any]:
    """Return all that decides what is in the folder."""
    files = [file for path in CODE for file in sources(path)]
    return {
        "documents": documents,
        "settings": settings(params),
        "corpus": artifacts.sha256(PROCESSED / CORPUS),
        "code": hashlib.sha256(b"".join(map(Path.read_bytes, files))).hexdigest(),
    }


def sources(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def sentences(texts: Iterable[str]) -> list[str]:
    """Return the sentences of some texts, each once, cut to `WORDS` words."""
    pieces = (piece.split()[:WORDS] for text in texts for piece in END.split(text))
    return sorted({" ".join(words) for words in pieces if words})


def write_corpus(path: Path, documents: int, texts: list[str]) -> None:
    """Write a corpus.jsonl of this many documents made of these sentences, always the same."""
    chance = random.Random(1)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for number in range(documents):
            text = " ".join(chance.choices(texts, k=chance.randint(*SENTENCES)))
            file.write(json.dumps({"_id": str(number), "text": text}, ensure_ascii=False) + "\n")
