"""What answers requests needs none of the libraries that train."""

import subprocess
import sys

from {{cookiecutter.package_name}}.serving import app

# It answers a request in an interpreter that refuses to import what only training installs.
PROGRAM = """
import sys, time
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
    print(client.post("/forecast", json={"h": 1}).json()["forecast"])
    assert client.get("/model").status_code == client.get("/").status_code == 200
assert not BLOCKED & {name.partition(".")[0] for name in sys.modules}
"""
TRAINING = (
    "aiohttp alembic dvc fsspec huggingface_hub matplotlib mlflow onnx onnxscript pandas pandera "
    "pip psutil pyarrow safetensors scipy sklearn sqlalchemy statsforecast torch tqdm"
)


def test_the_api_answers_where_no_training_library_can_be_imported(trained):
    models = str(trained.folder / "models")
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, app.__name__, models, TRAINING],
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert "'y_hat': " in process.stdout
