"""An exported model computes what torch computes, and the file reveals no local paths."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from portfolio_kit import onnx_export


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
    onnx_export.write(model, inputs, ["sums"], free=2, path=path)
    return model, path


def test_it_computes_what_torch_computes_for_any_free_dimensions(written):
    model, path = written
    session = onnxruntime.InferenceSession(path)
    for rows, columns in ((1, 1), (5, 7)):
        left, right = np.random.default_rng(3).random((2, rows, columns, 3)).astype(np.float32)
        (found,) = session.run(["sums"], {"left": left, "right": right})
        with torch.inference_mode():
            expected = model(torch.from_numpy(left), torch.from_numpy(right)).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_it_reveals_no_local_path(written):
    content = written[1].read_bytes()
    for trace in (b".py", b"site-packages", b"File ", __file__.encode()):
        assert trace not in content


def test_the_same_model_gives_the_same_bytes(written, tmp_path):
    model, path = written
    inputs = {"left": torch.rand(3, 5, 3), "right": torch.rand(3, 5, 3)}
    onnx_export.write(model, inputs, ["sums"], free=2, path=tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == path.read_bytes()
