"""The evaluation: the exported model and its baselines, on the test set and nothing else."""

import json
import shutil
from pathlib import Path

import matplotlib.image
import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml

from portfolio_kit import artifacts
from portfolio_kit.retrieval import embedding
from portfolio_kit.retrieval.documents import Document, Documents
from portfolio_kit.retrieval.settings import MODES
from portfolio_kit.text.encoder import Encoder, embed_texts, load_backbone
from portfolio_kit.text.tokens import encode, load_tokenizer

from {{cookiecutter.package_name}}.evaluation import error_analysis, evaluate
from {{cookiecutter.package_name}}.evaluation.metrics import REPORTING
from {{cookiecutter.package_name}}.evaluation.scores import relevant
from {{cookiecutter.package_name}}.predictor import Predictor

METRICS = ["ndcg_at_10", "mrr_at_10", "recall_at_10", "recall_at_100"]


def evaluated_in(project, params):
    """Evaluate the project in its folder; return the content of reports/metrics.json."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        evaluate.evaluate(params)
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
    return pd.read_parquet(trained.folder / artifacts.PROCESSED / "test.parquet")


@pytest.fixture(scope="module")
def words_alone(trained, metrics, configure, tiny_backbone, tmp_path_factory):
    """Another evaluation: serving searches by words, and most documents have been deleted."""
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


@pytest.fixture(scope="module")
def worse_metrics(worse):
    """What the evaluation wrote where training made the encoder worse."""
    return evaluated_in(worse.folder, worse.params)


def by_hand(judged, find):
    """Return nDCG@10 of each query from the ranking that `find` returns for it."""
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
    """Compute nDCG@10 of each query, searched in one mode, one by one."""

    def ndcg_of(mode):
        def find(query):
            [vector] = predictor.embed_queries([query])
            return [hit.document.id for hit in predictor.collection.search(query, vector, 10, mode)]

        return by_hand(held_out, find)

    return ndcg_of


def test_scores_are_those_of_searches_made_one_by_one(metrics, ndcg_of):
    for mode in MODES:
        mean = ndcg_of(mode).mean()
        assert metrics["retrieval"][mode]["ndcg_at_10"] == pytest.approx(mean, abs=1e-6)
    assert metrics["model"]["ndcg_at_10"] == metrics["retrieval"]["hybrid"]["ndcg_at_10"]
    assert metrics["baselines"]["BM25"] == metrics["retrieval"]["bm25"]


def test_the_pretrained_encoder_finds_what_torch_finds_by_brute_force(
    metrics, held_out, tiny_backbone, trained
):
    """Each document scores as its best passage, in windows of 32 tokens that overlap by 8."""
    model = Encoder(load_backbone(tiny_backbone))
    tokenizer = load_tokenizer(tiny_backbone / "tokenizer.json", 512)
    names, owners, passages = [], [], []
    for document in Documents(trained.models / "documents.sqlite").from_row(0):
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

    found = metrics["baselines"]["pretrained encoder"]["ndcg_at_10"]
    assert found == pytest.approx(by_hand(held_out, find).mean(), abs=1e-6)


def test_gains_of_training_and_of_fusion_are_told_apart(metrics):
    found = metrics["retrieval"]
    before, after = (found["by_encoder"][name] for name in ("pretrained", "fine_tuned"))
    assert found["encoder"] == "fine_tuned"
    assert after == {mode: found[mode] for mode in MODES}
    assert before["dense"] == metrics["baselines"]["pretrained encoder"]
    assert before["bm25"] == after["bm25"]
    training, fusion = (found["gains"][name] for name in ("training", "fusion"))
    for gain, more, less in (
        (training, after["dense"], before["dense"]),
        (fusion, after["hybrid"], after["dense"]),
    ):
        assert gain["difference"] == pytest.approx(more["ndcg_at_10"] - less["ndcg_at_10"])
        low, high = gain["interval_95"]
        assert low <= gain["difference"] <= high
    assert training["interval_95"][0] > 0.1, "it has learnt something"


def test_an_encoder_that_training_made_worse_is_evaluated_and_not_served(
    worse_metrics, worse, metrics
):
    found = worse_metrics["retrieval"]
    assert (found["encoder"], found["served"]) == ("pretrained", "dense")
    assert found["gains"]["training"]["difference"] < -0.1
    assert found["by_encoder"]["pretrained"]["dense"] == worse_metrics["model"]
    before = metrics["retrieval"]["dense"]["ndcg_at_10"]  # what it started from
    assert worse_metrics["model"]["ndcg_at_10"] == pytest.approx(before, abs=1e-6)
    assert list(worse_metrics["baselines"]) == ["BM25", "pretrained encoder"]
    assert set(worse_metrics["found_at"]) == {"this model", "BM25", "pretrained encoder"}


def test_the_evaluation_embeds_nothing_again(worse_metrics, worse, metrics, trained, monkeypatch):
    monkeypatch.setattr(embedding, "_embed", None)
    assert evaluated_in(worse.folder, worse.params)["model"] == worse_metrics["model"]
    assert evaluated_in(trained.folder, trained.params)["retrieval"] == metrics["retrieval"]


def test_the_metrics_name_model_data_and_cost(metrics, predictor, held_out):
    assert metrics["model_version"] == predictor.version
    assert metrics["data"]["sha256"] == predictor.manifest.data_sha256
    assert metrics["data"]["rows"]["test"] == held_out["query_id"].nunique() == 24
    for cost in ("train_seconds", "peak_memory_mb"):
        assert metrics[cost] == getattr(predictor.manifest, cost)


def test_each_model_has_the_same_scores(metrics):
    assert list(metrics["model"]) == METRICS
    assert list(metrics["baselines"]) == ["BM25", "pretrained encoder"]
    modes = [metrics["retrieval"][mode] for mode in MODES]
    for found in (metrics["model"], *metrics["baselines"].values(), *modes):
        assert list(found)[:4] == METRICS
        assert all(0 <= value <= 1 for value in found.values())
        assert found["recall_at_10"] <= found["recall_at_100"]
    assert metrics["retrieval"]["served"] == "hybrid"
    assert metrics["retrieval"]["chosen_by"] == "serve.retrieval"


def test_the_comparison_is_with_the_best_baseline(metrics):
    best = metrics["versus_best_baseline"]
    ndcg = {name: row["ndcg_at_10"] for name, row in metrics["baselines"].items()}
    assert ndcg[best["baseline"]] == max(ndcg.values())
    assert list(metrics["versus"]) == list(ndcg)
    assert metrics["versus"][best["baseline"]] == best
    for name, row in metrics["versus"].items():
        assert (row["baseline"], row["metric"]) == (name, "ndcg_at_10")
        assert row["difference"] == pytest.approx(metrics["model"]["ndcg_at_10"] - ndcg[name])
        low, high = row["interval_95"]
        assert low <= row["difference"] <= high
    assert list(metrics["intervals_95"]) == METRICS
    for name, (low, high) in metrics["intervals_95"].items():
        assert low <= metrics["model"][name] <= high


def test_differences_are_paired_query_by_query(configure):
    """If each query gains as much, so does every sample of queries: the interval is a point."""
    names = pd.Index([f"q{number}" for number in range(50)], name="query_id")
    values = np.random.default_rng(1).random((50, len(METRICS))) / 2
    theirs = pd.DataFrame(values, index=names, columns=METRICS)
    tables = {"ours": theirs + 0.25, "worse": theirs - 0.1, "better": theirs}
    report = evaluate.compare(tables, configure())
    assert report["versus_best_baseline"].baseline == "better"
    assert report["versus"]["better"].difference == pytest.approx(0.25)
    assert report["versus"]["better"].interval_95 == pytest.approx([0.25, 0.25])
    assert report["versus"]["worse"].interval_95 == pytest.approx([0.35, 0.35])
    low, high = report["intervals_95"]["ndcg_at_10"]
    assert high - low > 0.02


def test_one_query_says_nothing_about_others(configure):
    one = pd.DataFrame([[0.5] * 4], index=pd.Index(["q"], name="query_id"), columns=METRICS)
    report = evaluate.compare({"ours": one, "rival": one - 0.1}, configure())
    assert report["intervals_95"] == {name: [0, 1] for name in METRICS}
    assert report["versus"]["rival"].interval_95 == [-1, 1]
    assert report["versus"]["rival"].difference == pytest.approx(0.1)


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
    ("query", "wanted", "expected"),
    [
        ("dripping taps", ["tap"], 1.0),
        ("drips", ["tap"], 1.0),
        ("the zebra and the giraffe", ["tap"], 0.0),
        ("zebra drips", ["tap"], 0.5),
        ("radiators drip", ["tap"], 0.5),
        ("radiators drip", ["tap", "heater"], 1.0),
        ("radiators drip", ["heater"], 0.5),
        ("is it", ["tap"], 0.0),
    ],
)
def test_shared_words_are_counted_without_endings_and_stop_words(
    query, wanted, expected, predictor
):
    found = error_analysis.overlap(query, wanted, predictor.collection)
    assert found == pytest.approx(expected)


def test_only_documents_above_zero_are_relevant():
    rows = [("q", "tap", 0), ("q", "heater", 2), ("r", "snow", 1), ("q", "swim", 1)]
    judged = pd.DataFrame(rows, columns=["query_id", "document_id", "relevance"])
    assert relevant(judged).to_dict() == {"q": ["heater", "swim"], "r": ["snow"]}


def test_the_depth_of_the_first_relevant_document_is_counted(metrics, held_out, predictor):
    curves = metrics["found_at"]
    assert list(curves) == ["this model", "BM25", "pretrained encoder"]
    ranks = []
    for _, rows in held_out[held_out["relevance"] > 0].groupby("query_id"):
        hits = predictor.collection.search(rows["query"].iloc[0], None, 100, "bm25")
        names, wanted = [hit.document.id for hit in hits], set(rows["document_id"])
        ranks.append(next((rank for rank, one in enumerate(names, 1) if one in wanted), None))
    for curve in curves.values():
        assert len(curve) == 100
        assert curve == sorted(curve)
    for depth in (1, 3, 10, 100):
        share = np.mean([rank is not None and rank <= depth for rank in ranks])
        assert curves["BM25"][depth - 1] == pytest.approx(share, abs=1e-5)


def test_failed_searches_are_listed_the_worst_first(trained, metrics, predictor, held_out, ndcg_of):
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


def test_a_document_that_was_not_found_is_named_with_those_ranked_first(predictor):
    rows = [("q1", "a | b\n<i>", "tap", 1), ("q2", "good", "snow", 2)]
    judged = pd.DataFrame(rows, columns=["query_id", "query", "document_id", "relevance"])
    documents = predictor.collection.documents
    names = [documents.at(row).id for row in range(len(documents))]
    rankings = {"q1": [name for name in names if name != "tap"], "q2": ["cat", "snow"]}
    error_analysis.write({}, judged, np.array([0, 0.6]), rankings, documents, "v1")
    lines = Path("reports/errors.md").read_text(encoding="utf-8").splitlines()
    first, second = (line for line in lines if "taps (tap)" in line or "snow (snow)" in line)
    assert "| Dripping taps (tap) | beyond 100 | " in first
    assert first.count(";") == 2, "three ranked first"
    assert "| Clearing snow (snow) | 2 | Cats that scratch (cat); Clearing snow (snow) |" in second


def test_each_figure_of_the_readme_is_a_picture(trained, metrics):
    for name in REPORTING.captions:
        picture = matplotlib.image.imread(trained.folder / "reports/figures" / name)
        height, width, *_ = picture.shape
        assert min(height, width) > 200
        assert np.ptp(picture) > 0.5


def test_the_index_is_measured_with_the_queries_of_the_test_set(metrics, predictor):
    index = metrics["index"]
    assert index["kind"] == "exact"
    assert index["passages"] == len(predictor.collection.vectors.passages)
    assert index["recall_at_10"] is None, "an exact index is not compared with itself"
    assert all(0.9 < point["recall_at_10"] <= 1 for point in index["curve"])


def test_the_scores_are_recorded_with_the_training_run(metrics, predictor):
    recorded = mlflow.get_run(predictor.manifest.tracking_run).data
    assert recorded.metrics["test_ndcg_at_10"] == pytest.approx(metrics["model"]["ndcg_at_10"])
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
    assert f"nDCG@10 {metrics['model']['ndcg_at_10']:.3f} on 24 held-out queries" in readme
    assert "uses hybrid search with the fine-tuned encoder, chosen by serve.retrieval." in readme
    for name in ("fine-tuned", "pretrained"):
        assert f"\n| {name} encoder | 0." in readme
    gain = metrics["retrieval"]["gains"]["training"]["difference"]
    assert f"training, in dense search, changes it by {gain:+.3f} (95% interval " in readme
    for name in REPORTING.captions:
        assert f"(reports/figures/{name})" in readme
    for name, versus in metrics["versus"].items():
        assert f"{versus['difference']:+.3f} over {name} (95% interval " in readme
    for name, part in metrics["slices"].items():
        assert f"| {name} | {part['queries']} |" in card
    assert "Fine-tuned. Kept: the epoch with the lowest validation loss" in card
    assert "40 documents" in card


def test_without_queries_the_report_says_that_quality_is_unknown(unmeasured, unjudged, report):
    assert unmeasured["not_measured"] == evaluate.NOT_MEASURED
    assert unmeasured["versus_best_baseline"] is None
    assert unmeasured["baselines"] == unmeasured["intervals_95"] == {}
    assert list(unmeasured["model"]) == ["index_recall_at_10"]
    assert unmeasured["index"]["recall_at_10"] > 0.95
    errors = (unjudged.folder / "reports/errors.md").read_text(encoding="utf-8")
    assert errors == f"{evaluate.NOT_MEASURED}.\n"
    pictures = [path.name for path in (unjudged.folder / "reports/figures").iterdir()]
    assert pictures == ["index.png"]
    readme, card = report(unjudged.folder)
    for text in (readme, card):
        assert evaluate.NOT_MEASURED in text
        assert "etter in" not in text
        assert "ndcg" not in text.lower()
    assert "(reports/figures/index.png)" in readme
    assert readme.count("reports/figures/") == 1
    assert readme.startswith(f"<!-- headline:start -->\n**{evaluate.NOT_MEASURED}.**\n")
    assert "The index (hnsw) finds " in readme
    assert "The pretrained encoder is used unchanged: there were no training queries." in card


def test_figures_of_other_data_do_not_stay(trained, unjudged, metrics):
    shutil.copytree(unjudged.folder, "copy")
    shutil.copytree(trained.folder / "reports", "copy/reports", dirs_exist_ok=True)
    assert Path("copy/reports/figures/slices.png").exists()
    evaluated_in(Path("copy").resolve(), unjudged.params)
    assert [path.name for path in Path("copy/reports/figures").iterdir()] == ["index.png"]


def test_changing_what_is_served_makes_the_evaluation_stale(project):
    stages = yaml.safe_load((project / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    [watched] = stages["evaluate"]["params"]
    assert {"serve.retrieval", "serve.exact"} <= set(watched[".params.yaml"])


def test_the_retrieval_mode_that_is_served_is_evaluated(words_alone, metrics):
    assert words_alone["retrieval"]["served"] == "bm25"
    assert words_alone["model"]["ndcg_at_10"] == metrics["baselines"]["BM25"]["ndcg_at_10"]
    assert words_alone["versus"]["BM25"]["difference"] == 0
    assert words_alone["versus"]["BM25"]["interval_95"] == [0, 0]


def test_changes_through_the_api_do_not_enter_the_evaluation(words_alone, metrics):
    assert words_alone["baselines"] == metrics["baselines"]
    for mode in MODES:
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
def test_it_says_what_chose_the_retrieval_mode(retrieval, measured, reason, predictor, configure):
    model = predictor.manifest.model_copy(update={"validation_ndcg_at_10": measured})
    assert evaluate.chosen_by(model, configure({"serve.retrieval": retrieval})) == reason


def test_a_model_of_another_split_is_not_evaluated(trained, configure, run, rejection):
    shutil.copytree(trained.models, "models")
    configure({"seed": 99})
    assert run("data").code == 0
    [line] = rejection("evaluate")
    assert line.startswith("error: models/ comes from another split than data/processed/; run ")
    assert not artifacts.METRICS.exists()
