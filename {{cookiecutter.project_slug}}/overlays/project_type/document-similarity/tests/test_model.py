"""How searches behave, whatever the metrics say: with the real encoder, not fine-tuned."""

import numpy as np
import pytest

from portfolio_kit.retrieval.documents import Document

from {{cookiecutter.package_name}}.predictor import Predictor, Question

PARAPHRASES = {
    "water keeps falling from the faucet in my kitchen": "tap",
    "preparing a loaf in the oven": "bread",
    "my bike has a flat": "bicycle",
    "get a new travel document quickly": "passport",
}


@pytest.fixture(scope="module")
def served(make, backbone):
    """A project with documents, without queries, and with the real encoder."""
    return make("served", backbone, is_judged=False, **{"model.max_tokens": 64})


@pytest.fixture
def predictor(served, workspace):
    """The service, with changes of this test only."""
    return Predictor.load(served.models, served.params.serve)


def search(predictor, query, k=3):
    """Return the ids of the documents that are found, best first."""
    [results] = predictor.answer(predictor.prepare([Question(query, k)]))
    return [result["id"] for result in results[:k]]


def add(predictor, *documents):
    """Add documents as the API does."""
    predictor.collection.put(documents, predictor.embed_documents(documents))


@pytest.mark.parametrize(("query", "wanted"), PARAPHRASES.items())
def test_a_paraphrase_finds_its_document(query, wanted, predictor):
    assert wanted in search(predictor, query)


@pytest.mark.parametrize("change", [str.upper, str.title, lambda text: f"  {text}?! "])
def test_case_and_punctuation_change_little(change, predictor):
    for query, wanted in PARAPHRASES.items():
        assert wanted in search(predictor, change(query))


def test_an_added_document_is_found_by_other_words_than_its_own(predictor):
    query = "an eruption of molten rock"
    before = search(predictor, query)
    add(predictor, Document("lava", "Volcanoes", "Lava flows from a crater when magma rises."))
    assert search(predictor, query)[0] == "lava"
    predictor.collection.delete("lava")
    assert search(predictor, query) == before


def test_a_deleted_document_is_no_longer_found(predictor):
    query, wanted = next(iter(PARAPHRASES.items()))
    assert wanted in search(predictor, query, k=40)
    predictor.collection.delete(wanted)
    assert wanted not in search(predictor, query, k=100)


def test_a_replaced_document_is_found_by_its_new_text_alone(predictor):
    add(predictor, Document("tap", "Volcanoes", "Lava flows from a crater when magma rises."))
    assert search(predictor, "an eruption of molten rock")[0] == "tap"
    assert search(predictor, "water keeps falling from the faucet")[0] != "tap"


def test_a_long_document_is_found_by_its_end(predictor):
    filler = "The minutes of the meeting were read and nobody had anything to add. " * 60
    add(predictor, Document("minutes", "", f"{filler} A volcano then spat lava over the town."))
    assert search(predictor, "an eruption of molten rock")[0] == "minutes"


def test_answers_do_not_depend_on_other_queries_in_the_batch(predictor):
    queries = [*PARAPHRASES, "a much longer question, so the batch has texts of all lengths"]
    together = predictor.embed_queries(queries)
    alone = np.concatenate([predictor.embed_queries([query]) for query in queries])
    assert np.abs(together - alone).max() < 1e-5
    assert search(predictor, queries[0]) == search(predictor, queries[0])
