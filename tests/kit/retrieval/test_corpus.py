"""Documents on their way into the store: empty ones left out, bad ones named, repeats counted."""

from pathlib import Path

import pytest

from portfolio_kit.errors import UserError
from portfolio_kit.retrieval import corpus as corpora
from portfolio_kit.retrieval.documents import Document, Documents
from portfolio_kit.retrieval.faults import Faults

STORE = Path("deep/er/corpus.sqlite")


def store(*documents, faults=None):
    numbered = enumerate(documents, start=1)
    return corpora.store(STORE, numbered, faults or Faults("data.source: corpus.jsonl"))


def text(document_id, text="apples"):
    return Document(document_id, "", text)


def test_empty_documents_are_left_out_counted_and_reported(capsys):
    plums = Document("g", "plums", "")
    empty = [text("d", " "), Document("e", "\n", ""), text("f", "")]
    assert store(text("a"), *empty, plums) == ["d", "e", "f"]
    assert [one.id for one in Documents(STORE).from_row(0)] == ["a", "g"]
    note = "note: data.source: 3 of 5 documents are empty (lines 2, 3, 4); left out"
    assert note in capsys.readouterr().out


@pytest.mark.parametrize("documents", [[], [text("a", " \n")]], ids=["none", "empty"])
def test_a_corpus_without_any_text_is_rejected(documents):
    with pytest.raises(UserError, match=r"^data\.source: no document has any text$"):
        store(*documents)


def test_a_repeated_id_is_named_by_line():
    with pytest.raises(UserError) as caught:
        store(text("a"), text("b"), text("c"), text("b"))
    line = "data.source: corpus.jsonl: repeats an id in 1 line (line 4: 'b')"
    assert str(caught.value) == line


def test_what_the_reader_noted_is_raised_once_all_is_read():
    faults = Faults("data.source: corpus.jsonl")
    faults.add("odd", 7, "x")
    with pytest.raises(UserError, match=r"^data\.source: corpus\.jsonl: odd in 1 line \(line 7"):
        store(text("a"), faults=faults)


def test_documents_that_nearly_repeat_an_earlier_one_are_counted_and_reported(corpus, capsys):
    documents = [Document(one["_id"], one["title"], one["text"]) for one in corpus]
    again = [
        documents[3]._replace(id="roses-2", text=documents[3].text.upper()),
        documents[8]._replace(id="library-2", text=f"{documents[8].text} Ask us."),
    ]
    store(*documents, *again)
    assert corpora.count_near_duplicates(Documents(STORE), 0.8) == 2
    note = "note: 2 of 42 documents nearly repeat an earlier one ('roses-2', 'library-2'); kept"
    assert note in capsys.readouterr().out
    store(*documents)
    assert corpora.count_near_duplicates(Documents(STORE), 0.8) == 0


def test_only_the_beginnings_of_documents_are_compared():
    start = " ".join(f"word{n}" for n in range(400))[: corpora.COMPARED]
    store(text("a", f"{start} one end"), text("b", f"{start} and {'quite another end ' * 99}"))
    assert corpora.count_near_duplicates(Documents(STORE), 0.8) == 1
