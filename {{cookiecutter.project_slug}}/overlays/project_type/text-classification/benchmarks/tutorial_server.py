"""The same model served as most tutorials do it: FastAPI, a plain route, transformers and torch.

PORT=8001 python benchmarks/tutorial_server.py BACKBONE
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, AutoTokenizer

BACKBONE = Path(sys.argv[1])  # a folder with its config.json and tokenizer.json
MANIFEST = json.loads(Path("models/manifest.json").read_text(encoding="utf-8"))
LABELS, MAX_TOKENS = MANIFEST["labels"], MANIFEST["max_tokens"]


class Classifier(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        config = AutoConfig.from_pretrained(BACKBONE)
        self.backbone = AutoModel.from_config(config, add_pooling_layer=False)
        self.head = torch.nn.Linear(config.hidden_size, len(LABELS))

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        hidden = self.backbone(**inputs).last_hidden_state  # (texts, tokens, hidden)
        mask = inputs["attention_mask"].unsqueeze(-1)
        mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)  # (texts, hidden)
        return self.head(torch.nn.functional.normalize(mean, dim=-1))


class PredictRequest(BaseModel):
    texts: list[str]


tokenizer = AutoTokenizer.from_pretrained(BACKBONE)
model = Classifier()
model.load_state_dict(load_file(".cache/trained.safetensors"))
model.eval()
app = FastAPI()


@app.post("/predict")
def predict(body: PredictRequest) -> dict[str, Any]:
    settings: dict[str, Any] = {"truncation": True, "max_length": MAX_TOKENS}
    inputs = tokenizer(body.texts, padding=True, return_tensors="pt", **settings)
    with torch.no_grad():
        probabilities = model(**inputs).softmax(dim=-1)
    confidence, best = probabilities.max(dim=-1)
    return {
        "model_version": MANIFEST["version"],
        "predictions": [
            {
                "label": LABELS[best[row]],
                "confidence": confidence[row].item(),
                "probabilities": dict(zip(LABELS, probabilities[row].tolist(), strict=True)),
                "needs_review": confidence[row].item() < MANIFEST["threshold"],
            }
            for row in range(len(body.texts))
        ],
    }


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]))
