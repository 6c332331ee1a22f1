"""What the encoder learns from: queries with their documents, and documents that look like them."""

import numpy as np
import pandas as pd
from tokenizers import Tokenizer
from tqdm import tqdm

from portfolio_kit.retrieval.documents import Documents
from portfolio_kit.retrieval.passages import Ids, Splitter
from portfolio_kit.retrieval.words import Words
from portfolio_kit.text.tokens import encode

SEARCHED = 30  # of BM25's best documents, before the relevant ones are removed
MINED = 20  # look-alikes kept per query


class Pairs:
    """Judged queries as tokens: each row is a query with one of its relevant documents."""

    def __init__(
        self, judged: pd.DataFrame, documents: Documents, tokenizer: Tokenizer, passage_tokens: int
    ) -> None:
        """judged: query_id, query, document_id, relevance. Documents are tokenized when needed."""
        judged = judged[judged["relevance"] > 0]
        self.texts: list[str] = judged["query"].tolist()
        self.queries: list[Ids] = encode(tokenizer, self.texts)
        self.documents = judged["document_id"].map(documents.row_of).to_numpy(dtype=np.int64)
        by_query = pd.Series(self.documents).groupby(judged["query_id"].to_numpy()).agg(set)
        # All documents that are relevant to each row's query: none of them is a negative.
        self.relevant: list[set[int]] = judged["query_id"].map(by_query).tolist()
        self.n_documents = len(documents)
        self._documents = documents
        self._splitter = Splitter(tokenizer, passage_tokens, overlap=0)
        self._passages: dict[int, Ids] = {}

    def __len__(self) -> int:
        return len(self.queries)

    def passages(self, rows: np.ndarray) -> list[Ids]:
        """Return the tokens of the documents' first passages."""
        for row in rows.tolist():
            if row not in self._passages:
                [passages] = self._splitter.split([self._documents.at(row)])
                self._passages[row] = passages[0]
        return [self._passages[row] for row in rows.tolist()]

    def is_other_relevant(self, rows: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Tell which candidates are relevant to a row's query but not its own: bool (rows, all)."""
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
