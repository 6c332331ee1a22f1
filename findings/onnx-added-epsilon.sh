#!/usr/bin/env bash
# `torch.onnx.export` drops a small constant that a model adds, so the exported file divides by zero.
#
# Versions: torch 2.13.0, onnxscript 0.7.2, onnx 1.23.2, onnxruntime 1.32.0; seen with Python 3.11 on
# Linux.
#
# The model computes 1 / (x + 1e-9), the usual guard against division by zero. By default the
# exporter optimizes the graph, and takes an addition of something close to 0 for one of 0.
#
# Expected: at x = 0 the exported model answers 1e9, as torch does.
# Seen: it answers infinity, in float32 and in float64; the graph has no addition. With
# `optimize=False`, with 1e-6, or with `x.clamp(min=1e-9)`, the answers agree. No warning is shown.
#
# This script exits with 0 as long as that is so, and with 1 when it is not.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  torch==2.13.0 onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.32.0
"$folder/venv/bin/python" -W ignore - <<'CODE'
import logging
import sys

import onnxruntime
import torch

logging.getLogger("torch.onnx").setLevel(logging.ERROR)


class Add(torch.nn.Module):
    def __init__(self, small):
        super().__init__()
        self.small = small

    def forward(self, x):
        return 1 / (x + self.small)


class Clamp(torch.nn.Module):
    def forward(self, x):
        return 1 / x.clamp(min=1e-9)


def exported(model, x, **options):
    program = torch.onnx.export(model, (x,), verbose=False, **options)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    [answer] = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    return float(answer[0]), [node.op_type for node in program.model_proto.graph.node]


is_so = True
for kind in (torch.float32, torch.float64):
    zero = torch.zeros(2, dtype=kind)
    dropped, operations = exported(Add(1e-9), zero)
    whole, _ = exported(Add(1e-9), zero, optimize=False)
    larger, _ = exported(Add(1e-6), zero)
    clamped, _ = exported(Clamp(), zero)
    print(f"{kind}: torch {float(Add(1e-9)(zero)[0]):.4g}, exported {dropped} {operations}")
    print(f"  not optimized {whole:.4g}, with 1e-6 {larger:.4g}, clamped {clamped:.4g}")
    is_so &= dropped == float("inf") and "Add" not in operations
    is_so &= abs(whole / 1e9 - 1) < 1e-6 > abs(larger / 1e6 - 1) and abs(clamped / 1e9 - 1) < 1e-6
sys.exit(not is_so)
CODE
