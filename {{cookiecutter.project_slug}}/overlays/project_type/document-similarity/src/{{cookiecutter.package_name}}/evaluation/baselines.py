"""What fine-tuning has to beat to be worth its cost."""

from pathlib import Path

from portfolio_kit import artifacts
from portfolio_kit.retrieval.documents import Documents
from portfolio_kit.retrieval.embedding import embed_corpus
from portfolio_kit.retrieval.scores import DEPTH, Rankings
from portfolio_kit.retrieval.vectors import Exact, Vectors
from portfolio_kit.text.encoder import Encoder, fetch_backbone, load_backbone

from ..data.prepare import CORPUS
from ..params import Params
from ..predictor import Manifest, Predictor
from ..training.export import convert

FOLDER = Path(".cache/pretrained")


def pretrained(
    queries: dict[str, str], documents: Documents, model: Manifest, params: Params
) -> Rankings:
    """Return what the encoder finds without fine-tuning, comparing with every passage.

    All but the weights is as in `model`.
    """
    backbone = fetch_backbone(params.model.backbone, params.model.sha256)
    FOLDER.mkdir(parents=True, exist_ok=True)
    convert(Encoder(load_backbone(backbone)), backbone, [[0, 0]], FOLDER)
    version = artifacts.sha256(FOLDER / "model.onnx")
    encoder = Predictor(FOLDER, model.model_copy(update={"version": version}), params.serve)
    identity = (encoder.manifest.embedding, model.splits[CORPUS])
    embedded = embed_corpus(documents, encoder.embed_documents, encoder.dimensions, *identity)
    index, found = Exact(Vectors(embedded)), {}
    vectors = encoder.embed_queries(list(queries.values()))
    for query_id, vector in zip(queries, vectors, strict=True):
        rows, _ = index.search(vector, DEPTH)
        found[query_id] = [documents.at(row).id for row in rows]
    return found
