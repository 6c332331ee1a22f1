"""A model's file: it computes what torch computes, and holds nothing of where it was made."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from {{cookiecutter.package_name}}.training import onnx_file


class Model(nn.Module):
    """Multiplies two inputs and sums over the last dimension."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, left, right):
        return self.layer(left * right).sum(dim=-1)


@pytest.fixture
def written(tmp_path):
    torch.manual_seed(3)
    model, path = Model(), tmp_path / "model.onnx"
    inputs = {"left": torch.rand(2, 4, 3), "right": torch.rand(2, 4, 3)}
    onnx_file.write(model, inputs, ["sums"], free=2, path=path)
    return model, path


def test_it_computes_what_torch_computes_whatever_the_free_dimensions(written):
    model, path = written
    session = onnxruntime.InferenceSession(path)
    for rows, columns in ((1, 1), (5, 7)):
        left, right = np.random.default_rng(3).random((2, rows, columns, 3)).astype(np.float32)
        (found,) = session.run(["sums"], {"left": left, "right": right})
        with torch.inference_mode():
            expected = model(torch.from_numpy(left), torch.from_numpy(right)).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_it_does_not_say_where_it_was_made(written):
    content = written[1].read_bytes()
    for trace in (b".py", b"site-packages", b"File ", __file__.encode()):
        assert trace not in content
