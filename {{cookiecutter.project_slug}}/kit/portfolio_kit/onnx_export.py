"""Writes a torch model as an ONNX file, and compares the two."""

import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .errors import UserError


def write(
    model: nn.Module, inputs: dict[str, torch.Tensor], outputs: list[str], free: int, path: Path
) -> None:
    """Trace the model with example inputs, whose first `free` dimensions stay dynamic.

    The same model gives the same bytes in any folder: the source files and lines that the exporter
    notes next to each node are left out.
    """
    dimensions = dict.fromkeys(range(free), torch.export.Dim.DYNAMIC)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it lists what it would support
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's, about itself
        program = torch.onnx.export(
            model.eval(),
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes=(dimensions,) * len(inputs),
            verbose=False,
        )
    assert program is not None  # None is for the exporter that this one replaced
    proto = program.model_proto
    graph = proto.graph
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for part in (graph, *graph.node, *values):
        part.ClearField("metadata_props")
    path.write_bytes(proto.SerializeToString(deterministic=True))


def largest_difference(exported: np.ndarray, trained: np.ndarray, limit: float, what: str) -> float:
    """Return the largest difference between outputs; raises `UserError` if it exceeds the limit.

    Both arrays have the same shape; `what` names one of their values.
    """
    difference = float(np.abs(exported - trained).max())
    if not difference <= limit:
        raise UserError(f"export: {what} of ONNX differs from torch's by {difference}")
    return difference
