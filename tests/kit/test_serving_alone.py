"""What answers requests needs none of the libraries that train."""

import json
import os
import subprocess
import sys

from type_fixtures import ANSWER, QUESTION, TRAINING

from {{cookiecutter.package_name}}.__main__ import main
from {{cookiecutter.package_name}}.serving import app, serve

# It answers a request in an interpreter that refuses to import what only training installs.
PROGRAM = """
import json, sys, time
from importlib import import_module
from pathlib import Path

BLOCKED = set(sys.argv[3].split())

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(f"{name} is not among what serving installs")

sys.meta_path.insert(0, Blocker())
from fastapi.testclient import TestClient

package = sys.argv[1].partition(".")[0]
params = import_module(f"{package}.config").load(import_module(f"{package}.params").Params)
with TestClient(import_module(sys.argv[1]).create_app(params, Path(sys.argv[2]))) as client:
    for _ in range(600):
        if client.get("/ready").status_code == 200:
            break
        time.sleep(0.1)
    print(client.post(sys.argv[4], json=json.loads(sys.argv[5])).json())
    assert client.get("/model").status_code == client.get("/").status_code == 200
assert not BLOCKED & {name.partition(".")[0] for name in sys.modules}
"""
TRAINING_OF_ALL = (
    "aiohttp alembic dvc fsspec huggingface_hub matplotlib mlflow onnx onnxscript pandas pandera "
    "pip psutil pyarrow safetensors scipy sklearn sqlalchemy torch"
)


def test_the_api_answers_where_no_training_library_can_be_imported(trained):
    models = str(trained.folder / "models")
    path, body = QUESTION
    blocked = f"{TRAINING_OF_ALL} {TRAINING}"
    arguments = [app.__name__, models, blocked, path, json.dumps(body)]
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert ANSWER in process.stdout


def test_numpy_computes_an_answer_on_one_thread():
    program = (
        "import json, sys; from importlib import import_module\n"
        "for name in sys.argv[1:]: import_module(name)\n"
        "import numpy, threadpoolctl; print(json.dumps(threadpoolctl.threadpool_info()))"
    )
    environment = {key: value for key, value in os.environ.items() if "OPENBLAS" not in key}
    arguments = [sys.executable, "-c", program, main.__module__, serve.__name__]
    output = subprocess.run(arguments, env=environment, capture_output=True, text=True).stdout
    assert {one["num_threads"] for one in json.loads(output) if one["user_api"] == "blas"} <= {1}
