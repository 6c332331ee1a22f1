"""What fine-tuning has to beat to be worth its cost."""

from pathlib import Path
from typing import Any

from .. import artifacts
from ..data.prepare import CORPUS
from ..params import Params
from ..retrieval.documents import Documents
from ..retrieval.vectors import Exact, Vectors
from ..serving.embedder import Embedder
from ..training import indexing
from ..training.encoder import Encoder, fetch_backbone, load_backbone
from ..training.export import write_onnx
from .scores import DEPTH, Rankings

FOLDER = Path(".cache/as-it-comes")


def as_it_comes(
    queries: dict[str, str], documents: Documents, manifest: dict[str, Any], params: Params
) -> Rankings:
    """Return what the encoder finds without fine-tuning, compared with every passage.

    manifest: of the model that is served; all but the weights is as there.
    """
    backbone = fetch_backbone(params.model)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "tokenizer.json").write_bytes((backbone / "tokenizer.json").read_bytes())
    write_onnx(Encoder(load_backbone(backbone)), [[0, 0]], FOLDER / "model.onnx")
    facts = {**manifest, "version": artifacts.sha256(FOLDER / "model.onnx")}
    embedder = Embedder(FOLDER, facts, params.serve)
    corpus = manifest["splits"][CORPUS]
    index = Exact(Vectors(indexing.embed_corpus(embedder, documents, corpus)))
    vectors = embedder.embed(embedder.tokens(list(queries.values())))
    found = {}
    for query_id, vector in zip(queries, vectors, strict=True):
        rows, _ = index.search(vector, DEPTH)
        found[query_id] = [documents.at(row).id for row in rows]
    return found
