"""Measures of one model's rankings beyond those that the kit computes per query."""

from typing import Any

import numpy as np
import pandas as pd

from portfolio_kit.intervals import interval_95
from portfolio_kit.records import Interval
from portfolio_kit.retrieval.scores import DEPTH, Rankings

from ..params import Params


def relevant(judged: pd.DataFrame) -> "pd.Series[Any]":
    """Return each query's relevant documents as a list, by the query's id."""
    return judged[judged["relevance"] > 0].groupby("query_id")["document_id"].agg(list)


def first_rank(ranking: list[str], wanted: list[str]) -> int:
    """Return the rank of the first relevant document, from 1; `DEPTH` + 1 if there is none."""
    return next((rank for rank, one in enumerate(ranking, 1) if one in wanted), DEPTH + 1)


def found_at(judged: pd.DataFrame, rankings: Rankings) -> list[float]:
    """Return the share of queries with a relevant document among the first 1, 2, ... documents."""
    wanted = relevant(judged)
    ranks = [first_rank(rankings[one], wanted[one]) for one in rankings]
    counts = np.bincount(ranks, minlength=DEPTH + 2)[1 : DEPTH + 1]
    return [round(float(share), 5) for share in counts.cumsum() / len(ranks)]


def mean_interval_95(values: np.ndarray, params: Params, widest: Interval) -> Interval:
    """Return the bootstrap interval of the mean of a value per query.

    A single query says nothing about others: its interval is the `widest` possible one.
    """
    if len(values) == 1:
        return widest
    samples, seed = params.evaluate.bootstrap_samples, params.seed
    return interval_95(lambda rows: float(values[rows].mean()), len(values), samples, seed)
