"""The same ONNX file served by LitServe, which forms batches too.

PORT=8002 .cache/bench/bin/python benchmarks/litserve_server.py WORKERS

A worker is a process that computes on one core. These settings did best on two cores, by requests
per second at 64 clients and by processor time per request. Tried were one worker per core, and one
worker with one thread per core; batches of 2, 4, 6, 8, 16 and 32 requests; waits of 1, 2, 5, 10 and
20 ms for a batch to fill; 1 and 2 API servers; both queues. A batch takes requests in their order,
whatever their length, so padding soon costs more than batches save: 9.9 ms per request at 2, 10.8
at 4, 15.6 at 16.
"""

import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any

import litserve
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

MODELS = Path("models")
MANIFEST = json.loads((MODELS / "manifest.json").read_text(encoding="utf-8"))
LABELS = MANIFEST["labels"]
MAX_BATCH_SIZE = 2
BATCH_TIMEOUT = 0.001
API_SERVERS = 1
FAST_QUEUE = True


class Classifier(litserve.LitAPI):
    def setup(self, device: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(MODELS / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self.tokenizer = Tokenizer.from_file(str(MODELS / "tokenizer.json"))
        self.tokenizer.enable_truncation(MANIFEST["max_tokens"])
        self.tokenizer.enable_padding()

    def decode_request(self, request: dict[str, Any]) -> list[str]:
        return request["texts"]

    def batch(self, inputs: list[list[str]]) -> list[list[str]]:
        return inputs

    def predict(self, requests: list[list[str]]) -> list[np.ndarray]:
        encodings = self.tokenizer.encode_batch_fast([*itertools.chain(*requests)])
        feed = {
            "input_ids": np.array([encoding.ids for encoding in encodings]),
            "attention_mask": np.array([encoding.attention_mask for encoding in encodings]),
        }
        logits = self.session.run(["logits"], feed)[0]
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        ends = np.cumsum([len(texts) for texts in requests])
        return np.split(probabilities, ends[:-1])

    def unbatch(self, output: list[np.ndarray]) -> list[np.ndarray]:
        return output

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        return {
            "model_version": MANIFEST["version"],
            "predictions": [
                {
                    "label": LABELS[row.argmax()],
                    "confidence": float(row.max()),
                    "probabilities": dict(zip(LABELS, row.tolist(), strict=True)),
                    "needs_review": bool(row.max() < MANIFEST["threshold"]),
                }
                for row in output
            ],
        }


if __name__ == "__main__":
    server = litserve.LitServer(
        Classifier(max_batch_size=MAX_BATCH_SIZE, batch_timeout=BATCH_TIMEOUT),
        accelerator="cpu",
        devices=1,
        workers_per_device=int(sys.argv[1]),
        fast_queue=FAST_QUEUE,
    )
    server.run(
        os.environ.get("HOST", "127.0.0.1"),
        int(os.environ["PORT"]),
        num_api_servers=API_SERVERS,
        generate_client_file=False,
    )
