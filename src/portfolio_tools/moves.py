"""Where the files of a project of version 0.1 are in version 0.2."""

KIT = "kit/portfolio_kit"
SRC = "src/PACKAGE"

# What moved under its own name, from each folder to another.
FOLDERS: dict[tuple[str, str], str] = {
    (SRC, KIT): "artifacts.py config.py cores.py errors.py pipeline.py",
    (f"{SRC}/data", KIT): "sources.py",
    (f"{SRC}/data", f"{KIT}/text"): "near_duplicates.py stix.py",
    (f"{SRC}/data", f"{KIT}/retrieval"): "beir.py",
    (f"{SRC}/training", KIT): "checkpoint.py tracking.py",
    (f"{SRC}/training", f"{KIT}/text"): "encoder.py",
    (f"{SRC}/training", f"{KIT}/classification"): "calibration.py",
    (f"{SRC}/evaluation", KIT): "intervals.py markdown.py plots.py report.py",
    (f"{SRC}/evaluation", f"{KIT}/timegrid"): "significance.py",
    (f"{SRC}/evaluation", f"{SRC}/data"): "rolling.py",
    (f"{SRC}/monitoring", f"{KIT}/monitoring"): (
        "drift.py monitor.py outcomes.py reference.py served.py"
    ),
    (f"{SRC}/retrieval", f"{KIT}/retrieval"): (
        "changes.py collection.py documents.py journal.py passages.py qdrant.py vectors.py words.py"
    ),
    (f"{SRC}/serving", SRC): "predictor.py",
    (f"{SRC}/serving", f"{KIT}/serving"): (
        "app.py dependencies.py middleware.py page.py prediction_log.py protocol.py"
    ),
    (f"{SRC}/serving/static", f"{KIT}/serving/static"): "icon.svg page.css page.js",
    ("benchmarks", f"{KIT}/bench"): (
        "drift.py environment.py load.js load.py measure.py results.py server.py serving.py "
        "shutdown.py"
    ),
    ("scripts", f"{KIT}/deploy"): "image.py promote.py setup_environment.py smoke_test.py",
}
# What got another name.
FILES = {
    f"{SRC}/evaluation/index_quality.py": f"{KIT}/retrieval/quality.py",
    f"{SRC}/monitoring/html.py": f"{KIT}/monitoring/report.py",
    f"{SRC}/retrieval/fusion.py": f"{KIT}/retrieval/ranking.py",
    f"{SRC}/serving/batching.py": f"{KIT}/serving/queue.py",
    f"{SRC}/serving/exported.py": f"{KIT}/serving/model.py",
    f"{SRC}/serving/observe.py": f"{SRC}/signals.py",
    f"{SRC}/serving/routes.py": f"{SRC}/serving/api.py",
    f"{SRC}/serving/serve.py": f"{KIT}/serving/server.py",
    f"{SRC}/serving/verdict.py": f"{KIT}/serving/drift_metrics.py",
    f"{SRC}/text.py": f"{KIT}/text/tokens.py",
    f"{SRC}/timegrid.py": f"{KIT}/timegrid/calendar.py",
    f"{SRC}/training/indexing.py": f"{KIT}/retrieval/embedding.py",
    f"{SRC}/training/loop.py": f"{KIT}/steps.py",
    f"{SRC}/training/onnx_file.py": f"{KIT}/onnx_export.py",
    "tests/test_observe.py": "tests/test_signals.py",
}
MOVED = FILES | {
    f"{before}/{name}": f"{after}/{name}"
    for (before, after), names in FOLDERS.items()
    for name in names.split()
}
