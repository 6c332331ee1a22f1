"""How searches behave, whatever the figures say: with the real encoder, as it comes."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from type_fixtures import DATA

from {{cookiecutter.package_name}}.retrieval.documents import Document
from {{cookiecutter.package_name}}.serving.predictor import Predictor, Question

PARAPHRASES = {
    "water keeps falling from the faucet in my kitchen": "tap",
    "preparing a loaf in the oven": "bread",
    "my bike has a flat": "bicycle",
    "get a new travel document quickly": "passport",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory, configure, backbone, tracking_store):
    """A project that has documents and no queries: its folder and its parameters."""
    from {{cookiecutter.package_name}}.data import prepare
    from {{cookiecutter.package_name}}.training import train

    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("given").mkdir()
        shutil.copy(DATA / "corpus.jsonl", "given")
        changes = {"data.source": "given", "model.backbone": str(backbone), "model.max_tokens": 64}
        params = configure(changes)
        prepare.run(params)
        train.run(params)
    return folder, params


@pytest.fixture
def predictor(served):
    """The service, with changes of this test only."""
    folder, params = served
    return Predictor.load(folder / "models", params.serve)


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


def test_a_deleted_document_is_not_found_any_more(predictor):
    query, wanted = next(iter(PARAPHRASES.items()))
    assert wanted in search(predictor, query, k=40)
    predictor.collection.delete(wanted)
    assert wanted not in search(predictor, query, k=100)


def test_a_replaced_document_is_found_by_its_new_text_alone(predictor):
    add(predictor, Document("tap", "Volcanoes", "Lava flows from a crater when magma rises."))
    assert search(predictor, "an eruption of molten rock")[0] == "tap"
    assert search(predictor, "water keeps falling from the faucet")[0] != "tap"


def test_a_long_document_is_found_by_what_stands_at_its_end(predictor):
    filler = "The minutes of the meeting were read and nobody had anything to add. " * 60
    add(predictor, Document("minutes", "", f"{filler} A volcano then spat lava over the town."))
    assert search(predictor, "an eruption of molten rock")[0] == "minutes"


def test_answers_do_not_depend_on_what_else_is_asked(predictor):
    queries = [*PARAPHRASES, "a much longer question, so that the batch has lengths of all kinds"]
    together = predictor.embed(predictor.tokens(queries))
    alone = np.concatenate([predictor.embed(predictor.tokens([query])) for query in queries])
    assert np.abs(together - alone).max() < 1e-5
    assert search(predictor, queries[0]) == search(predictor, queries[0])
