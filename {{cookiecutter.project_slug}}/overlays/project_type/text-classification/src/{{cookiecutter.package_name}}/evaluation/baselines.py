"""What a model has to beat to be worth its cost."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer

from portfolio_kit.classification.baselines import tuned_regression
from portfolio_kit.text.encoder import Encoder, embed_texts, fetch_backbone, load_backbone
from portfolio_kit.text.tokens import encode, load_tokenizer

from ..params import Model
from .scores import macro_f1

Splits = dict[str, pd.DataFrame]  # by name, with the columns text and target (a class index)
Features = dict[str, np.ndarray]  # (rows, features) by split
Probabilities = dict[str, np.ndarray]  # (test rows, classes) by baseline


def predict_with_baselines(splits: Splits, embeddings: Features, refit: bool) -> Probabilities:
    """Return what each baseline says of the test rows; it is `refit` if the model was."""
    counts = np.bincount(splits["train"]["target"])
    majority = np.eye(len(counts))[counts.argmax()]
    targets = {name: rows["target"].to_numpy() for name, rows in splits.items()}
    score = partial(macro_f1, n_classes=len(counts))
    probabilities = {"majority class": np.tile(majority, (len(splits["test"]), 1))}
    features = {"TF-IDF": tfidf(splits, "train"), "frozen embeddings": embeddings}
    again = {**features, "TF-IDF": tfidf(splits, "train", "valid")} if refit else {}
    for name, known in features.items():
        found = tuned_regression(known, targets, score, name, again.get(name))
        probabilities[f"{name} + logistic regression"] = found
    return probabilities


def tfidf(splits: Splits, *seen: str) -> dict[str, Any]:
    """Return each split's TF-IDF features, sparse, with the words and weights of those `seen`."""
    texts = pd.concat([splits[name]["text"] for name in seen])
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(texts)
    return {name: vectorizer.transform(rows["text"]) for name, rows in splits.items()}


def frozen_embeddings(splits: Splits, model: Model) -> Features:
    """Return the untrained encoder's embeddings of each split."""
    folder = fetch_backbone(model.backbone, model.sha256)
    tokenizer = load_tokenizer(folder / "tokenizer.json", model.max_tokens)
    encoder = Encoder(load_backbone(folder))
    return {
        name: embed_texts(encoder, encode(tokenizer, rows["text"].tolist())).numpy()
        for name, rows in splits.items()
    }
