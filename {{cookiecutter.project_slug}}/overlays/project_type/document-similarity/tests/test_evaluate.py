"""The evaluation: of the exported model, beside baselines, on the test set and nothing else."""

import json
import shutil
from pathlib import Path

import matplotlib.image
import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml

from {{cookiecutter.package_name}} import artifacts
from {{cookiecutter.package_name}}.evaluation import error_analysis, evaluate, figures, scores
from {{cookiecutter.package_name}}.retrieval.documents import Document, Documents
from {{cookiecutter.package_name}}.serving.predictor import Predictor
from {{cookiecutter.package_name}}.text import encode, load_tokenizer
from {{cookiecutter.package_name}}.training.encoder import Encoder, embed_texts, load_backbone

METRICS = ["ndcg_at_10", "mrr_at_10", "recall_at_10", "recall_at_100"]
NOTHING_HELD_OUT = (
    "Not measured: there are no held-out queries, so nobody can say how good the answers are; add "
    "some with their documents (queries.jsonl, qrels/test.tsv). Only the index could be measured"
)


def evaluated_in(project, params):
    """Evaluate the project in its folder; return what was written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        evaluate.run(params)
    return json.loads((project / artifacts.METRICS).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def metrics(trained):
    """What the evaluation wrote."""
    return evaluated_in(trained.folder, trained.params)


@pytest.fixture(scope="module")
def unmeasured(unjudged):
    """What the evaluation of documents without queries wrote."""
    return evaluated_in(unjudged.folder, unjudged.params)


@pytest.fixture(scope="module")
def held_out(trained):
    """The judged queries of the test set."""
    return pd.read_parquet(trained.folder / "data/processed/test.parquet")


@pytest.fixture(scope="module")
def words_alone(trained, metrics, configure, tiny_backbone, tmp_path_factory):
    """Another evaluation: searching by words is asked for, and all but one document is deleted."""
    folder = tmp_path_factory.mktemp("words-alone") / "project"
    shutil.copytree(trained.folder, folder)
    changes = {"model.backbone": str(tiny_backbone), "serve.retrieval": "bm25"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        params = configure({**changes, "evaluate.bootstrap_samples": 100})
        predictor = Predictor.load(artifacts.MODELS, params.serve)
        for document in list(predictor.collection.documents.from_row(1)):
            assert predictor.collection.delete(document.id)
        new = Document("new", "Dripping taps", "My kitchen tap drips all night.")
        predictor.collection.put([new], predictor.embed_documents([new]))
        assert len(predictor.collection.search("tap", None, 100, "bm25")) == 2
    return evaluated_in(folder, params)


def by_hand(judged, find):
    """Return nDCG@10 of each query from the ranking that is found for it."""
    values = []
    for _, rows in judged.groupby("query_id", sort=False):
        grades = dict(zip(rows["document_id"], rows["relevance"], strict=True))
        places = 1 / np.log2(np.arange(2, 12))
        gains = [grades.get(document, 0) for document in find(rows["query"].iloc[0])[:10]]
        best = sorted(grades.values(), reverse=True)[:10]
        values.append(np.dot(gains, places[: len(gains)]) / np.dot(best, places[: len(best)]))
    return np.array(values)


@pytest.fixture(scope="module")
def ndcg_of(held_out, predictor):
    """Compute nDCG@10 of each query, searched in one way, one by one."""

    def ndcg_of(mode):
        def find(query):
            [vector] = predictor.embed(predictor.tokens([query]))
            return [hit.document.id for hit in predictor.collection.search(query, vector, 10, mode)]

        return by_hand(held_out, find)

    return ndcg_of


def test_scores_are_those_of_searches_made_one_by_one(metrics, ndcg_of):
    for mode in ("dense", "bm25", "hybrid"):
        mean = ndcg_of(mode).mean()
        assert metrics["retrieval"][mode]["ndcg_at_10"] == pytest.approx(mean, abs=1e-6)
    assert metrics["model"]["ndcg_at_10"] == metrics["retrieval"]["hybrid"]["ndcg_at_10"]
    assert metrics["baselines"]["BM25"] == metrics["retrieval"]["bm25"]


def test_the_encoder_as_it_comes_finds_what_torch_finds_by_brute_force(
    metrics, held_out, tiny_backbone, trained
):
    """Each document counts by its best passage, in windows of 32 tokens that share 8."""
    model = Encoder(load_backbone(tiny_backbone))
    tokenizer = load_tokenizer(tiny_backbone / "tokenizer.json", 512)
    names, owners, passages = [], [], []
    for document in Documents(trained.folder / "models/documents.sqlite").from_row(0):
        title = tokenizer.encode(f"{document.title}.", add_special_tokens=False).ids[:8]
        text = tokenizer.encode(document.text, add_special_tokens=False).ids
        first, last = tokenizer.encode("").ids
        room = 32 - len(title) - 2
        for start in range(0, len(text), room - 8):
            passages.append([first, *title, *text[start : start + room], last])
            owners.append(len(names))
            if start + room >= len(text):
                break
        names.append(document.id)
    vectors, owners = embed_texts(model, passages).numpy(), np.array(owners)

    def find(query):
        [vector] = embed_texts(model, encode(tokenizer, [query])).numpy()
        nearest = [(vectors[owners == row] @ vector).max() for row in range(len(names))]
        return [names[row] for row in np.argsort(nearest)[::-1]]

    found = metrics["baselines"]["encoder as it comes"]["ndcg_at_10"]
    assert found == pytest.approx(by_hand(held_out, find).mean(), abs=1e-6)


def test_the_model_has_learnt_something(metrics):
    untrained = metrics["baselines"]["encoder as it comes"]["ndcg_at_10"]
    assert metrics["retrieval"]["dense"]["ndcg_at_10"] > untrained + 0.3
    low, _ = metrics["versus"]["encoder as it comes"]["interval_95"]
    assert low > 0


def test_the_metrics_name_model_data_and_cost(metrics, predictor, held_out):
    assert metrics["project_type"] == "document-similarity"
    assert metrics["model_version"] == predictor.version
    assert metrics["data"]["sha256"] == predictor.manifest["data_sha256"]
    assert metrics["data"]["rows"]["test"] == held_out["query_id"].nunique() == 24
    assert metrics["train_seconds"] == predictor.manifest["train_seconds"]
    assert metrics["peak_memory_mb"] == predictor.manifest["peak_memory_mb"]


def test_each_model_has_the_same_scores(metrics):
    assert list(metrics["model"]) == [*METRICS, "index_recall_at_10"]
    assert list(metrics["baselines"]) == ["BM25", "encoder as it comes"]
    ways = [metrics["retrieval"][mode] for mode in scores.MODES]
    for found in (metrics["model"], *metrics["baselines"].values(), *ways):
        assert list(found)[:4] == METRICS
        assert all(0 <= value <= 1 for value in found.values())
        assert found["recall_at_10"] <= found["recall_at_100"]
    assert metrics["retrieval"]["served"] == "hybrid"
    assert metrics["retrieval"]["chosen_by"] == "serve.retrieval"


def test_the_comparison_is_with_the_best_baseline(metrics):
    versus = metrics["versus_best_baseline"]
    ndcg = {name: row["ndcg_at_10"] for name, row in metrics["baselines"].items()}
    assert ndcg[versus["baseline"]] == max(ndcg.values())
    assert versus["metric"] == "ndcg_at_10"
    assert list(metrics["versus"]) == list(ndcg)
    assert {name: versus[name] for name in ("difference", "interval_95")} == metrics["versus"][
        versus["baseline"]
    ]
    for name, row in metrics["versus"].items():
        assert row["difference"] == pytest.approx(metrics["model"]["ndcg_at_10"] - ndcg[name])
        low, high = row["interval_95"]
        assert low <= row["difference"] <= high
    assert list(metrics["intervals_95"]) == METRICS
    for name, (low, high) in metrics["intervals_95"].items():
        assert low <= metrics["model"][name] <= high


def test_differences_are_paired_query_by_query(configure):
    """Where each query gains as much, so does each sample of them: the interval is a point."""
    names = pd.Index([f"q{number}" for number in range(50)], name="query_id")
    values = np.random.default_rng(1).random((50, len(METRICS))) / 2
    theirs = pd.DataFrame(values, index=names, columns=METRICS)
    report = evaluate.compare(theirs + 0.25, {"worse": theirs - 0.1, "better": theirs}, configure())
    assert report["versus_best_baseline"]["baseline"] == "better"
    assert report["versus"]["better"]["difference"] == pytest.approx(0.25)
    assert report["versus"]["better"]["interval_95"] == pytest.approx([0.25, 0.25])
    assert report["versus"]["worse"]["interval_95"] == pytest.approx([0.35, 0.35])
    low, high = report["intervals_95"]["ndcg_at_10"]
    assert high - low > 0.02


def test_one_query_says_nothing_of_others(configure):
    one = pd.DataFrame([[0.5] * 4], index=pd.Index(["q"], name="query_id"), columns=METRICS)
    report = evaluate.compare(one, {"rival": one - 0.1}, configure())
    assert report["intervals_95"] == {name: [0, 1] for name in METRICS}
    assert report["versus"]["rival"]["interval_95"] == [-1, 1]
    assert report["versus"]["rival"]["difference"] == pytest.approx(0.1)


def test_slices_add_up_to_the_whole(metrics, held_out, ndcg_of):
    total = held_out["query_id"].nunique()
    parts = metrics["slices"]
    by_overlap = {name for name in parts if "shared" in name}
    assert by_overlap <= set(error_analysis.OVERLAPS)
    assert len(by_overlap) > 1
    assert len(parts) - len(by_overlap) > 1
    for names in (by_overlap, set(parts) - by_overlap):
        assert sum(parts[name]["queries"] for name in names) == total
        whole = sum(parts[name]["queries"] * parts[name]["ndcg_at_10"] for name in names)
        assert whole == pytest.approx(ndcg_of("hybrid").sum())
    for part in parts.values():
        low, high = part["interval_95"]
        assert low <= part["ndcg_at_10"] <= high


def test_slices_by_length_are_those_of_counting_words(metrics, held_out, ndcg_of):
    lengths = held_out.drop_duplicates("query_id")["query"].str.split().str.len().to_numpy()
    for name, part in metrics["slices"].items():
        if "shared" not in name:
            low, high = (int(word) for word in name.split() if word.isdecimal())
            inside = (lengths >= low) & (lengths <= high)
            assert part["queries"] == inside.sum()
            assert part["ndcg_at_10"] == pytest.approx(ndcg_of("hybrid")[inside].mean())


@pytest.mark.parametrize(
    ("query", "relevant", "expected"),
    [
        ("dripping taps", ["tap"], 1.0),
        ("drips", ["tap"], 1.0),
        ("the zebra and the giraffe", ["tap"], 0.0),
        ("zebra drips", ["tap"], 0.5),
        ("radiators drip", ["tap"], 0.5),
        ("radiators drip", ["tap", "heater"], 1.0),
        ("radiators drip", ["heater", "unjudged"], 0.5),
        ("is it", ["tap"], 0.0),
    ],
)
def test_shared_words_are_counted_without_endings_and_stop_words(
    query, relevant, expected, predictor
):
    rows = [("q", query, name, 1) for name in relevant if name != "unjudged"]
    rows.append(("q", query, "tap", 0))  # what is not relevant counts for nothing
    judged = pd.DataFrame(rows, columns=["query_id", "query", "document_id", "relevance"])
    documents, tokens = predictor.collection.documents, predictor.collection.words.tokens
    wanted = error_analysis.relevant(judged)["q"]
    assert error_analysis.overlap(query, wanted, documents, tokens) == pytest.approx(expected)


def test_how_far_down_one_has_to_read_is_counted(metrics, held_out, predictor):
    curves = metrics["found_at"]
    assert list(curves) == ["this model", "BM25", "encoder as it comes"]
    for shares in curves.values():
        assert len(shares) == scores.DEPTH
        assert shares == sorted(shares)
    wanted = held_out[held_out["relevance"] > 0].groupby("query_id", sort=False)
    ranks = []
    for _, rows in wanted:
        query = rows["query"].iloc[0]
        hits = predictor.collection.search(query, None, 100, "bm25")
        found = [hit.document.id in set(rows["document_id"]) for hit in hits]
        ranks.append(found.index(True) + 1 if any(found) else None)
    for depth in (1, 3, 10, 100):
        share = np.mean([rank is not None and rank <= depth for rank in ranks])
        assert curves["BM25"][depth - 1] == pytest.approx(share, abs=1e-5)


def test_where_searches_fail_is_written_down_the_worst_first(
    trained, metrics, predictor, held_out, ndcg_of
):
    text = (trained.folder / "reports/errors.md").read_text(encoding="utf-8")
    assert predictor.version in text
    for name, part in metrics["slices"].items():
        assert f"| {name} | {part['queries']} | {part['ndcg_at_10']:.3f}, " in text
    queries = held_out.drop_duplicates("query_id")["query"].tolist()
    ndcg = dict(zip(queries, ndcg_of("hybrid"), strict=True))
    listed = [line.split(" | ")[0][2:] for line in text.splitlines() if line.startswith("| ")]
    listed = [one for one in listed if one in ndcg]
    assert len(listed) == 20 == len(set(listed))
    values = [ndcg[one] for one in listed]
    assert values == pytest.approx(sorted(values))
    assert max(values) <= min(ndcg[one] for one in set(queries) - set(listed)) + 1e-9


def test_a_document_that_was_not_found_is_named_with_what_came_first(predictor, configure):
    rows = [("q1", "a | b\n<i>", "tap", 1), ("q2", "good", "snow", 2)]
    judged = pd.DataFrame(rows, columns=["query_id", "query", "document_id", "relevance"])
    documents = predictor.collection.documents
    names = [documents.at(row).id for row in range(len(documents))]
    rankings = {"q1": [name for name in names if name != "tap"], "q2": ["cat", "snow"]}
    report = {"slices": {}}
    ndcg = np.array([0, 0.6])
    error_analysis.write(judged, ndcg, rankings, documents, report, "v1")
    lines = Path("reports/errors.md").read_text(encoding="utf-8").splitlines()
    first, second = (line for line in lines if "taps (tap)" in line or "snow (snow)" in line)
    assert "| Dripping taps (tap) | beyond 100 | " in first
    assert first.count(";") == 2, "three came first"
    assert "| Clearing snow (snow) | 2 | Cats that scratch (cat); Clearing snow (snow) |" in second


def test_each_figure_of_the_readme_is_a_picture(trained, metrics):
    for name in figures.CAPTIONS:
        picture = matplotlib.image.imread(trained.folder / "reports/figures" / name)
        height, width, *_ = picture.shape
        assert min(height, width) > 200
        assert np.ptp(picture) > 0.5


def test_the_index_is_compared_with_looking_at_all(metrics, predictor):
    index = metrics["index"]
    assert index["kind"] == "exact"
    assert index["passages"] == len(predictor.collection.vectors.passages)
    assert index["recall_at_10"] == metrics["model"]["index_recall_at_10"] == 1
    assert [point["expansion_search"] for point in index["curve"]] == [32, 64, 128, 256, 512]
    assert all(0.9 < point["recall_at_10"] <= 1 for point in index["curve"])
    assert min(point["p50_ms"] for point in index["curve"]) > 0
    assert index["p50_ms"] > 0


def test_a_graph_that_misses_documents_is_said_to(unjudged, configure, monkeypatch):
    """Noise for vectors, one candidate looked at: a graph finds some of the nearest, not all."""
    from {{cookiecutter.package_name}}.evaluation import index_quality
    from {{cookiecutter.package_name}}.retrieval.vectors import Graph, write_graph

    monkeypatch.chdir(unjudged.folder)
    predictor = Predictor.load(artifacts.MODELS, unjudged.params.serve)
    vectors, noise = predictor.collection.vectors, np.random.default_rng(1).normal(size=(3000, 32))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    monkeypatch.setattr(vectors, "passages", noise.astype(np.float16))
    monkeypatch.setattr(vectors, "offsets", np.arange(3001))
    poor = unjudged.params.index.model_copy(update={"connectivity": 4, "expansion_add": 8})
    path = artifacts.MODELS / "poor.usearch"
    write_graph(vectors, path, poor, threads=1)
    monkeypatch.setattr(index_quality, "GRAPH", path.name)
    monkeypatch.setattr(index_quality, "EXPANSIONS", (1, 256, 2000))
    monkeypatch.setattr(predictor.collection, "index", Graph(vectors, path, 1))
    queries = noise[:50].astype(np.float32)
    index = index_quality.measure(predictor, queries, unjudged.params)
    path.unlink()
    recalls = [point["recall_at_10"] for point in index["curve"]]
    assert index["kind"] == "hnsw"
    assert index["recall_at_10"] == pytest.approx(recalls[0], abs=0.02)
    assert recalls[0] < 0.9
    assert recalls[0] < recalls[1] < recalls[2]


def test_the_scores_are_recorded_with_the_training_run(metrics, predictor):
    recorded = mlflow.get_run(predictor.manifest["tracking_run"]).data
    assert recorded.metrics["test_ndcg_at_10"] == pytest.approx(metrics["model"]["ndcg_at_10"])
    assert recorded.metrics["test_index_recall_at_10"] == 1
    assert recorded.params["data_sha256"] == metrics["data"]["sha256"]


@pytest.fixture
def report(run, monkeypatch):
    """Write the report of a copy of a project; return the README's section and the model card."""

    def report(folder):
        shutil.copytree(folder, "copy")
        monkeypatch.chdir("copy")
        marks = [f"<!-- {name}:start --><!-- {name}:end -->\n" for name in ("headline", "results")]
        Path("README.md").write_text("".join(marks), encoding="utf-8")
        outcome = run("report")
        assert outcome.code == 0, outcome.err
        files = (Path("README.md"), Path("reports/model_card.md"))
        return tuple(file.read_text(encoding="utf-8") for file in files)

    return report


def test_the_report_follows(trained, metrics, report):
    readme, card = report(trained.folder)
    assert f"{metrics['model']['ndcg_at_10']:.3f}" in readme
    assert "served is hybrid, chosen by serve.retrieval." in readme
    for name in figures.CAPTIONS:
        assert f"(reports/figures/{name})" in readme
    for name, part in metrics["slices"].items():
        assert f"| {name} | {part['queries']} |" in card
    assert "Fine-tuned. Kept: the epoch with the lowest validation loss" in card
    assert "40 documents" in card


def test_without_queries_it_is_said_that_nothing_is_known(unmeasured, unjudged, report):
    assert unmeasured["not_measured"] == NOTHING_HELD_OUT
    assert unmeasured["versus_best_baseline"] is None
    assert unmeasured["baselines"] == unmeasured["intervals_95"] == {}
    assert list(unmeasured["model"]) == ["index_recall_at_10"]
    errors = (unjudged.folder / "reports/errors.md").read_text(encoding="utf-8")
    assert errors == f"{NOTHING_HELD_OUT}.\n"
    pictures = [path.name for path in (unjudged.folder / "reports/figures").iterdir()]
    assert pictures == ["index.png"]
    readme, card = report(unjudged.folder)
    for text in (readme, card):
        assert NOTHING_HELD_OUT in text
        assert "etter in" not in text
        assert "ndcg" not in text.lower()
    assert "(reports/figures/index.png)" in readme
    assert readme.count("reports/figures/") == 1
    assert readme.startswith(f"<!-- headline:start -->\n**{NOTHING_HELD_OUT}.**\n")
    assert "The index (hnsw, " in readme
    assert "The encoder is used as it comes: there were no training queries." in card


def test_without_queries_the_index_is_measured_by_its_own_passages(unmeasured):
    index = unmeasured["index"]
    assert index["kind"] == "hnsw"
    assert index["recall_at_10"] == unmeasured["model"]["index_recall_at_10"] > 0.95
    assert len(index["curve"]) == 5


def test_figures_of_other_data_do_not_stay(trained, unjudged, metrics, monkeypatch):
    shutil.copytree(unjudged.folder, "copy")
    shutil.copytree(trained.folder / "reports", "copy/reports", dirs_exist_ok=True)
    assert Path("copy/reports/figures/slices.png").exists()
    evaluated_in(Path("copy").resolve(), unjudged.params)
    assert [path.name for path in Path("copy/reports/figures").iterdir()] == ["index.png"]


def test_a_change_of_what_is_evaluated_makes_the_figures_stale(project):
    stages = yaml.safe_load((project / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    [watched] = stages["evaluate"]["params"]
    assert {"serve.retrieval", "serve.exact"} <= set(watched[".params.yaml"])


def test_the_way_to_search_that_is_served_is_what_is_evaluated(words_alone, metrics):
    assert words_alone["retrieval"]["served"] == "bm25"
    assert words_alone["model"]["ndcg_at_10"] == metrics["baselines"]["BM25"]["ndcg_at_10"]
    assert words_alone["versus"]["BM25"] == {"difference": 0, "interval_95": [0, 0]}


def test_what_the_api_changed_is_no_part_of_the_evaluation(words_alone, metrics):
    assert words_alone["baselines"] == metrics["baselines"]
    for mode in ("dense", "bm25", "hybrid"):
        assert words_alone["retrieval"][mode] == metrics["retrieval"][mode]
    assert words_alone["index"]["passages"] == metrics["index"]["passages"]


@pytest.mark.parametrize(
    ("retrieval", "measured", "reason"),
    [
        ("bm25", {"dense": 0.5}, "serve.retrieval"),
        (None, {"dense": 0.5}, "the validation queries"),
        (None, None, "default, without validation queries"),
    ],
)
def test_it_is_said_who_chose_the_way_to_search(retrieval, measured, reason, predictor, configure):
    params = configure({"serve.retrieval": retrieval})
    facts = {**predictor.manifest, "validation_ndcg_at_10": measured}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictor, "manifest", facts)
        assert evaluate.chosen_by(predictor, params) == reason


def test_an_index_that_is_served_exactly_is_called_exact(unjudged, unmeasured):
    from {{cookiecutter.package_name}}.evaluation import index_quality

    settings = unjudged.params.serve.model_copy(update={"exact": True, "changes": None})
    predictor = Predictor.load(unjudged.folder / "models", settings)
    index = index_quality.measure(predictor, None, unjudged.params)
    assert (index["kind"], index["recall_at_10"]) == ("exact", 1)


def test_a_model_of_another_split_is_not_evaluated(trained, configure, run, refusal):
    shutil.copytree(trained.folder / "models", "models")
    configure({"seed": 99})
    assert run("data").code == 0
    [line] = refusal("evaluate")
    assert line == "error: models/ comes from another split than data/processed/; run train again"
    assert not artifacts.METRICS.exists()


@pytest.mark.parametrize("name", ["model.onnx", "vectors.npy", "documents.sqlite"])
def test_an_altered_model_is_not_evaluated(name, trained, configure, refusal):
    for folder in ("models", "data"):
        shutil.copytree(trained.folder / folder, folder)
    configure()
    with Path("models", name).open("ab") as file:
        file.write(b"x")
    [line] = refusal("evaluate")
    assert name in line
