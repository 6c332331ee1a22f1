"""Corpora of some sizes, prepared and trained as the project does it: in `.cache/large/`.

A document is a few sentences of the project's own corpus, drawn at random. There are no queries, so
the encoder stays as it comes.
"""

import hashlib
import json
import random
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from {{ cookiecutter.package_name }} import artifacts
from {{ cookiecutter.package_name }}.artifacts import MODELS, PROCESSED
from {{ cookiecutter.package_name }}.data.prepare import CORPUS
from {{ cookiecutter.package_name }}.params import Params
from {{ cookiecutter.package_name }}.retrieval.documents import Documents
from {{ cookiecutter.package_name }}.training.encoder import fetch_backbone

from . import measure

FOLDER = Path(".cache/large")
SIZES = (10_000, 100_000)
SENTENCES = (2, 3)  # of a document
WORDS = 15  # of a sentence, at most: short, so that most of the time is not for the encoder
END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
MADE_FROM = "made-from.json"
CODE = ("data", "retrieval", "training", "serving/embedder.py", "text.py")
VERBS = ("data", "train")


def folder(documents: int, params: Params) -> Path:
    """Return the folder whose `models/` holds so many documents; made if need be, in minutes."""
    found = FOLDER / str(documents)
    facts = made_from(documents, params)
    try:
        is_current = json.loads((found / MADE_FROM).read_text(encoding="utf-8")) == facts
    except (OSError, ValueError):
        is_current = False
    if not is_current:
        print(f"{found}: preparing {documents:,} documents", flush=True)
        build(documents, params)
    (found / "params.yaml").write_bytes(Path("params.yaml").read_bytes())
    artifacts.read_manifest(found / MODELS, made_by="bench")
    return found


def build(documents: int, params: Params) -> dict[str, tuple[float, int]]:
    """Make the folder anew; return the seconds, and the bytes at the peak, of each verb."""
    target = FOLDER / str(documents)
    (target / "corpus").mkdir(parents=True, exist_ok=True)
    (target / MADE_FROM).unlink(missing_ok=True)
    texts = sentences(Documents(PROCESSED / CORPUS))
    write_corpus(target / "corpus" / "corpus.jsonl", documents, texts)
    backbone = json.dumps(str(fetch_backbone(params.model).resolve()))
    told = {**settings(params), "model.backbone": backbone}
    costs = {verb: measure.run(verb, target, told) for verb in VERBS}
    artifacts.write_json(target / MADE_FROM, made_from(documents, params))
    return costs


def settings(params: Params) -> dict[str, str]:
    """Return what `data` and `train` are told: the parameters in force, but for the source."""
    told = {
        f"{section}.{name}": value
        for section in ("model", "train", "index")
        for name, value in params.model_dump()[section].items()
    }
    told |= {
        "data.source": "corpus",
        "data.sha256": None,
        "data.near_duplicate_similarity": None,
        "index.exact_below": 0,  # an index whatever the size, to be compared with exact search
        "index.qdrant_url": None,
    }
    return {name: json.dumps(value) for name, value in told.items()}


def made_from(documents: int, params: Params) -> dict[str, Any]:
    """Return all that decides what is in the folder."""
    package = Path(artifacts.__file__).parent
    files = [file for part in CODE for file in sources(package / part)]
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
    """Write a corpus.jsonl of so many documents made of these sentences, the same each time."""
    chance = random.Random(1)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for number in range(documents):
            text = " ".join(chance.choices(texts, k=chance.randint(*SENTENCES)))
            file.write(json.dumps({"_id": str(number), "text": text}, ensure_ascii=False) + "\n")
