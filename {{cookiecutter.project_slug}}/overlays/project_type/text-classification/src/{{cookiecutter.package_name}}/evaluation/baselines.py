"""What a model has to beat to be worth its cost."""

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from portfolio_kit.text.encoder import Encoder, embed_texts, fetch_backbone, load_backbone
from portfolio_kit.text.tokens import encode, load_tokenizer

from ..params import Model
from .scores import macro_f1

Splits = dict[str, tuple[pd.Series, np.ndarray]]  # name: texts (rows,), class indices (rows,)


def predict_with_baselines(
    splits: Splits, embeddings: dict[str, np.ndarray], n_classes: int
) -> dict[str, np.ndarray]:
    """Return the probabilities (test rows, classes) of each baseline."""
    counts = np.bincount(splits["train"][1], minlength=n_classes)
    majority = np.eye(n_classes)[np.full(len(splits["test"][0]), counts.argmax())]
    return {
        "majority class": majority,
        "TF-IDF + logistic regression": _logistic_regression(splits, _tfidf(splits)),
        "frozen embeddings + logistic regression": _logistic_regression(splits, embeddings),
    }


def frozen_embeddings(splits: Splits, model: Model) -> dict[str, np.ndarray]:
    """Return the untrained encoder's embeddings of each split: (rows, hidden) by name."""
    folder = fetch_backbone(model.backbone, model.sha256)
    tokenizer = load_tokenizer(folder / "tokenizer.json", model.max_tokens)
    encoder = Encoder(load_backbone(folder))
    return {
        name: embed_texts(encoder, encode(tokenizer, texts.tolist())).numpy()
        for name, (texts, _) in splits.items()
    }


def _tfidf(splits: Splits) -> dict[str, np.ndarray]:
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(splits["train"][0])
    return {name: vectorizer.transform(texts) for name, (texts, _) in splits.items()}


def _logistic_regression(splits: Splits, features: dict[str, np.ndarray]) -> np.ndarray:
    """Fit on train; a baseline deserves a fair chance, so its settings are chosen on valid."""
    candidates = [
        LogisticRegression(C=c, class_weight=weight, max_iter=2000).fit(
            features["train"], splits["train"][1]
        )
        for c in (1.0, 10.0, 100.0)
        for weight in (None, "balanced")
    ]
    targets = splits["valid"][1]

    def validation_score(model: LogisticRegression) -> float:
        return macro_f1(targets, model.predict(features["valid"]), len(model.classes_))

    return max(candidates, key=validation_score).predict_proba(features["test"])
