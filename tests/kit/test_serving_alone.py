"""Serving needs none of the libraries that only training installs."""

import json
import os
import subprocess
import sys

from live import PATH, QUESTION

# Answers a request in an interpreter that cannot import what only training installs.
PROGRAM = """
import json, sys, time
from pathlib import Path

BLOCKED = set(sys.argv[2].split())

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(f"{name} is not installed for serving")

sys.meta_path.insert(0, Blocker())
from fastapi.testclient import TestClient

from portfolio_kit import config
from portfolio_kit.serving.app import create_app
from tiny.project import PROJECT

params = config.load(PROJECT.params, PROJECT.package)
with TestClient(create_app(PROJECT, params, Path(sys.argv[1]))) as client:
    for _ in range(600):
        if client.get("/ready").status_code == 200:
            break
        time.sleep(0.1)
    print(client.post(sys.argv[3], json=json.loads(sys.argv[4])).json())
    for route in ("/", "/model", "/metrics"):
        assert client.get(route).status_code == 200
assert not BLOCKED & {name.partition(".")[0] for name in sys.modules}
"""
TRAINING = (
    "accelerate cleanlab datasketch tqdm transformers "
    "aiohttp alembic dvc fsspec huggingface_hub matplotlib mlflow onnx onnxscript pandas pandera "
    "pip psutil pyarrow safetensors scipy sklearn sqlalchemy torch"
)


def test_the_api_answers_where_no_training_library_can_be_imported(trained):
    arguments = [str(trained.models), TRAINING, PATH, json.dumps(QUESTION)]
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert "'label': 'short'" in process.stdout


def test_numpy_computes_an_answer_on_one_thread():
    program = (
        "import json, sys; from importlib import import_module\n"
        "for name in sys.argv[1:]: import_module(name)\n"
        "import numpy, threadpoolctl; print(json.dumps(threadpoolctl.threadpool_info()))"
    )
    environment = {key: value for key, value in os.environ.items() if "OPENBLAS" not in key}
    arguments = [sys.executable, "-c", program, "tiny.__main__", "portfolio_kit.serving.server"]
    output = subprocess.run(arguments, env=environment, capture_output=True, text=True).stdout
    assert {one["num_threads"] for one in json.loads(output) if one["user_api"] == "blas"} <= {1}
