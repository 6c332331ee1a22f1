"""What the encoder learns from: queries with their documents, and others that look like them."""

import numpy as np
import pandas as pd
from tokenizers import Tokenizer
from tqdm import tqdm

from ..params import Params
from ..retrieval.documents import Documents
from ..retrieval.passages import Ids, Splitter
from ..retrieval.words import Words
from ..text import encode

MINED = 20  # look-alikes kept for each query
SEARCHED = 30  # of BM25's best documents, less the relevant ones


class Pairs:
    """Judged queries as tokens, each row a query with one of its relevant documents."""

    def __init__(
        self, judged: pd.DataFrame, documents: Documents, tokenizer: Tokenizer, params: Params
    ) -> None:
        """judged: the columns of `data.prepare`; the tokens of documents are made when needed."""
        judged = judged[judged["relevance"] > 0]
        texts = judged["query"].tolist()
        self.queries: list[Ids] = encode(tokenizer, texts)
        self.texts = texts
        self.documents = judged["document_id"].map(documents.row_of).to_numpy(dtype=np.int64)
        by_query = pd.Series(self.documents).groupby(judged["query_id"].to_numpy()).agg(set)
        # All documents that are relevant to the query of each row: none of them is a negative.
        self.relevant: list[set[int]] = judged["query_id"].map(by_query).tolist()
        self.n_documents = len(documents)
        self._documents = documents
        self._splitter = Splitter(tokenizer, params.train.passage_tokens, overlap=0)
        self._passages: dict[int, Ids] = {}

    def __len__(self) -> int:
        return len(self.queries)

    def passages(self, rows: np.ndarray) -> list[Ids]:
        """Return the tokens with which documents begin."""
        for row in rows.tolist():
            if row not in self._passages:
                document = self._documents.at(row)
                [passages] = self._splitter.split([(document.title, document.text)])
                self._passages[row] = passages[0]
        return [self._passages[row] for row in rows.tolist()]

    def is_other_relevant(self, rows: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Say which candidates are relevant to a row's query, but not its own: bool (rows, all)."""
        return np.array(
            [
                np.isin(candidates, list(self.relevant[row])) & (candidates != self.documents[row])
                for row in rows
            ]
        )


def mine_hard_negatives(pairs: Pairs, words: Words) -> list[np.ndarray]:
    """Return for each row documents that share words with its query and are not relevant.

    They teach more than random ones (Karpukhin et al. 2020); there may be none.
    """
    mined = []
    texts = tqdm(pairs.texts, desc="mining", leave=False)
    for text, relevant in zip(texts, pairs.relevant, strict=True):
        found, _ = words.search(words.tokens.split(text), SEARCHED)
        mined.append(found[~np.isin(found, list(relevant))][:MINED])
    return mined
