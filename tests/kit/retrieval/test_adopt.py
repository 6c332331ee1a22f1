"""Documents in the BEIR layout are adopted: what was found is shown, and pinned."""

import json
import tarfile
from pathlib import Path
from typing import ClassVar

import pytest
from adopter import Adopter

from portfolio_kit import artifacts
from portfolio_kit.adopting import Adopting
from portfolio_kit.config import Section, Settings
from portfolio_kit.retrieval.adopt import language_of
from portfolio_kit.retrieval.documents import Document
from portfolio_kit.retrieval.settings import ADOPTING, Language, Serving

DATA = """data:
  source: wheel://template==1/bundle.json
  sha256: 00aa
  language: english  # of BM25"""
TEXTS = {
    "english": "You can send it back to us within thirty days if it is not what you wanted.",
    "german": "Sie können es uns innerhalb von dreißig Tagen zurückschicken, wenn es nicht passt.",
    "french": "Vous pouvez nous le renvoyer dans les trente jours si ce n'est pas ce que vous.",
    None: "def f(x): return numpy.linalg.norm(x)",
}


class Data(Section):
    source: str
    sha256: str | None = None
    language: Language | None = None


class Search(Serving):
    retrieval: str | None = None
    exact: bool = False
    changes: str | None = "changes/documents.sqlite"


class Params(Settings):
    adopting: ClassVar[Adopting] = ADOPTING
    data: Data
    serve: Search


@pytest.fixture
def adopt(workspace, capsys):
    return Adopter(Params, DATA, capsys)


def write(folder, language="english", queries=6):
    """Write a collection of six documents, with queries for training and testing."""
    folder = Path(folder)
    (folder / "qrels").mkdir(parents=True)
    documents = [
        {"_id": f"d{one}", "title": f"Return {one}", "text": TEXTS[language]} for one in range(6)
    ]
    asked = [{"_id": f"q{one}", "text": f"how do I return {one}"} for one in range(queries)]
    for name, records in (("corpus", documents), ("queries", asked)):
        lines = [json.dumps(one) + "\n" for one in records]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    for name, part in (("train", asked[:4]), ("test", asked[4:])):
        lines = [f"{one['_id']}\td{one['_id'][1:]}\t1\n" for one in part]
        text = "query-id\tcorpus-id\tscore\n" + "".join(lines)
        (folder / "qrels" / f"{name}.tsv").write_text(text, encoding="utf-8")


def test_a_folder_is_shown_and_pinned(adopt):
    write("shop")
    done = adopt("shop/", "--title", "Help desk")
    assert (done.code, done.errors) == (0, [])
    params = adopt.params()
    assert params["data"] == {
        "source": "shop",
        "sha256": artifacts.sha256(Path("shop")),
        "language": "english",
    }
    assert params["serve"]["title"] == "Help desk"
    assert params["serve"]["examples"] is None
    for words in (
        "corpus.jsonl: 6 documents",
        "d0: Return 0 You can send it back",
        "queries.jsonl: 6 queries",
        "qrels/train.tsv: 4 judgements of 4 queries, to train",
        "qrels/test.tsv: 2 judgements of 2 queries, to test",
    ):
        assert words in done.out, words
    assert not adopt("shop", "--title", "Help desk").wrote


def test_an_archive_is_pinned_as_the_data_stage_checks_it(adopt):
    write("shop", "german")
    with tarfile.open("shop.tar.gz", "w:gz") as archive:
        archive.add("shop")
    assert adopt("shop.tar.gz").code == 0
    data = adopt.params()["data"]
    assert data == {
        "source": "shop.tar.gz",
        "sha256": artifacts.sha256(Path("shop.tar.gz")),
        "language": "german",
    }
    assert adopt("shop.tar.gz", "--language", "dutch").code == 0
    assert not adopt("shop.tar.gz").wrote
    assert adopt.params()["data"]["language"] == "dutch"


def test_the_language_is_told_only_where_it_is_clear():
    for language, text in TEXTS.items():
        assert language_of([Document("d", "", text, {})]) == language
    assert language_of([]) is None
    assert language_of([Document("d", "", "検索 文書", {})]) is None


def test_documents_alone_are_enough(adopt):
    write("shop", None, queries=0)
    for name in ("queries.jsonl", "qrels/train.tsv", "qrels/test.tsv"):
        Path("shop", name).unlink()
    Path("changes").mkdir()
    Path("changes/documents.sqlite").touch()
    text = Path("params.yaml").read_text(encoding="utf-8")
    text = text.replace("  threads: 1", "  threads: 1\n  changes: changes/documents.sqlite")
    Path("params.yaml").write_text(text, encoding="utf-8")
    done = adopt("shop")
    assert done.code == 0
    assert "no judgements: the encoder stays untrained" in done.out
    assert "changes/documents.sqlite: changes of other documents" in done.out
    assert adopt.params()["data"]["language"] is None
    assert adopt.params()["serve"]["examples"] is None


def test_what_is_not_in_the_layout_is_rejected(adopt):
    Path("empty").mkdir()
    Path("empty/notes.txt").write_text("x", encoding="utf-8")
    assert adopt.rejected("empty").startswith("data.source: empty has no corpus.jsonl; name")
    assert adopt.rejected("none") == "data.source: there is no file or folder none"
    assert adopt.rejected("none.zip").startswith("data.source: there is no file or folder")
    Path("x.zip").write_bytes(b"no archive")
    assert "x.zip cannot be unpacked" in adopt.rejected("x.zip")
    write("shop")
    assert adopt.rejected("shop", "--language", "latin").startswith("params.yaml: data.language: ")
    Path("shop/qrels/odd.tsv").write_text("q\td\t1\n", encoding="utf-8")
    assert "qrels/odd.tsv was found and not used" in adopt.rejected("shop")
    Path("shop/qrels/odd.tsv").unlink()
    with Path("shop/corpus.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"_id": 1, "text": 2}\n')
    assert '"title" or "text" is not text in 1 line (line 7' in adopt.rejected("shop")
    Path("shop/corpus.jsonl").write_text("", encoding="utf-8")
    assert adopt.rejected("shop") == "data.source: corpus.jsonl holds no documents"
