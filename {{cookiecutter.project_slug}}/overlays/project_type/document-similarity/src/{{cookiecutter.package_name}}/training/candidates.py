"""An encoder that may be served: in ONNX, verified, and with the vectors of all documents."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from portfolio_kit import artifacts, onnx_export
from portfolio_kit.retrieval import embedding
from portfolio_kit.retrieval.documents import Documents
from portfolio_kit.retrieval.passages import Ids
from portfolio_kit.retrieval.scores import Rankings, rank
from portfolio_kit.retrieval.settings import EncoderName, Mode
from portfolio_kit.retrieval.vectors import Exact, Vectors
from portfolio_kit.retrieval.words import Words
from portfolio_kit.text.encoder import Encoder, embed_texts
from portfolio_kit.text.tokens import encode, load_tokenizer, pad

from ..data.prepare import CORPUS
from ..params import Params
from ..predictor import Manifest, Predictor

FOLDER = Path(".cache/encoders")
MAX_DIFFERENCE = 1e-4  # of a vector's component: far below what changes a ranking
MAX_SAMPLES = 64  # documents on which ONNX is compared with torch


@dataclass(frozen=True)
class Candidate:
    """An exported encoder, and the folder with the documents' vectors."""

    predictor: Predictor
    embedded: Path

    def rank(
        self, queries: dict[str, str], words: Words, documents: Documents
    ) -> dict[Mode, Rankings]:
        """Return what it finds in each mode, comparing with every passage."""
        vectors = self.predictor.embed_queries(list(queries.values()))
        return rank(Exact(Vectors(self.embedded)), words, documents, queries, vectors)


def make(
    name: EncoderName,
    encoder: Encoder,
    backbone: Path,
    documents: Documents,
    manifest: Manifest,
    params: Params,
) -> Candidate:
    """Export `encoder`, verify the file, and embed the documents unless their vectors exist.

    manifest: what both encoders share. Raises `UserError` if ONNX's vectors differ from torch's.
    """
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.linspace(0, len(documents) - 1, min(MAX_SAMPLES, len(documents)))
    tokenizer = load_tokenizer(backbone / "tokenizer.json", manifest.max_tokens)
    samples = encode(tokenizer, [documents[row] for row in rows])
    convert(encoder, backbone, samples, folder)
    predictor = load(name, folder, manifest, params)
    difference = max_difference(encoder, predictor, samples)
    predictor.manifest = predictor.manifest.model_copy(update={"max_difference": difference})
    return embed(name, predictor, documents)


def convert(encoder: Encoder, backbone: Path, samples: list[Ids], folder: Path) -> None:
    """Write the encoder as ONNX, with pooling and unit length inside, and its tokenizer."""
    shutil.copyfile(backbone / "tokenizer.json", folder / "tokenizer.json")
    token_ids, mask = map(torch.from_numpy, pad((samples * 2)[:2]))
    inputs = {"input_ids": token_ids, "attention_mask": mask}
    onnx_export.write(encoder, inputs, ["embeddings"], free=2, path=folder / "model.onnx")


def load(name: EncoderName, folder: Path, manifest: Manifest, params: Params) -> Predictor:
    """Load an exported encoder as the API does."""
    version = artifacts.sha256(folder / "model.onnx")[:12]
    facts = {"version": version, "is_fine_tuned": name == "fine_tuned"}
    settings = params.serve.model_copy(update={"changes": None})
    return Predictor(folder, manifest.model_copy(update=facts), settings)


def max_difference(encoder: Encoder, predictor: Predictor, samples: list[Ids]) -> float:
    """Compare ONNX's vectors with torch's; raises `UserError` if they differ."""
    trained = embed_texts(encoder, samples).numpy()
    exported = predictor.embed(samples)
    return onnx_export.largest_difference(exported, trained, MAX_DIFFERENCE, "a vector")


def embed(name: EncoderName, predictor: Predictor, documents: Documents) -> Candidate:
    """Embed the documents, unless that has been done."""
    identity = (predictor.manifest.embedding, predictor.manifest.splits[CORPUS])
    cache = embedding.CACHE / name
    return Candidate(
        predictor, embedding.embed_corpus(documents, predictor, *identity, cache=cache)
    )
