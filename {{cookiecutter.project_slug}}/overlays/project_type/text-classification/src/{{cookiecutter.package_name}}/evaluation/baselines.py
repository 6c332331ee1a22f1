"""What a model has to beat to be worth its cost."""

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from portfolio_kit.text.encoder import Encoder, embed_texts, fetch_backbone, load_backbone
from portfolio_kit.text.tokens import encode, load_tokenizer

from ..params import Model
from .scores import macro_f1

Splits = dict[str, pd.DataFrame]  # by name, with the columns text and target (a class index)
Features = dict[str, np.ndarray]  # (rows, features) by split


def predict_with_baselines(splits: Splits, embeddings: Features) -> dict[str, np.ndarray]:
    """Return the probabilities (test rows, classes) of each baseline."""
    counts = np.bincount(splits["train"]["target"])
    majority = np.eye(len(counts))[counts.argmax()]
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(splits["train"]["text"])
    tfidf = {name: vectorizer.transform(rows["text"]) for name, rows in splits.items()}
    return {
        "majority class": np.tile(majority, (len(splits["test"]), 1)),
        "TF-IDF + logistic regression": _logistic_regression(splits, tfidf),
        "frozen embeddings + logistic regression": _logistic_regression(splits, embeddings),
    }


def frozen_embeddings(splits: Splits, model: Model) -> Features:
    """Return the untrained encoder's embeddings of each split."""
    folder = fetch_backbone(model.backbone, model.sha256)
    tokenizer = load_tokenizer(folder / "tokenizer.json", model.max_tokens)
    encoder = Encoder(load_backbone(folder))
    return {
        name: embed_texts(encoder, encode(tokenizer, rows["text"].tolist())).numpy()
        for name, rows in splits.items()
    }


def _logistic_regression(splits: Splits, features: Features) -> np.ndarray:
    """Fit on train; a baseline deserves a fair chance, so its settings are chosen on valid."""
    train, valid = (splits[name]["target"].to_numpy() for name in ("train", "valid"))
    candidates = [
        LogisticRegression(C=c, class_weight=weight, max_iter=2000).fit(features["train"], train)
        for c in (1.0, 10.0, 100.0)
        for weight in (None, "balanced")
    ]

    def validation_score(model: LogisticRegression) -> float:
        return macro_f1(valid, model.predict(features["valid"]), len(model.classes_))

    return max(candidates, key=validation_score).predict_proba(features["test"])
