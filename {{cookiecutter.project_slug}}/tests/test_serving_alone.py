"""What answers requests needs none of the libraries that train."""

import json
import subprocess
import sys

from type_fixtures import ANSWER, QUESTION, TRAINING

from {{cookiecutter.package_name}}.serving import app

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
