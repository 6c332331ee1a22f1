"""The classifier: a pretrained sentence encoder with one linear layer on top."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from torch import nn
from tqdm import tqdm
from transformers import AutoModel
from transformers.masking_utils import create_bidirectional_mask

from ..data import sources
from ..errors import UserError
from ..params import Model
from ..text import bucket, pad

WEIGHTS = "model.safetensors"
CACHE = Path(".cache/backbone")
HEAD_SCALE = 20.0  # logits of unit vectors lie in [-1, 1]: too flat for a softmax without it


class Examples(NamedTuple):
    """Texts, their token ids, and their class indices (texts,)."""

    texts: list[str]
    ids: list[list[int]]
    targets: torch.Tensor


class Classifier(nn.Module):
    """Encoder, mean over tokens, unit length, linear head."""

    def __init__(self, backbone: Any, n_classes: int, dropout: float) -> None:
        super().__init__()
        self.backbone: Any = backbone
        self.frozen_layers = 0
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(backbone.config.hidden_size, n_classes)

    def embed(self, inputs: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return unit vectors (batch, hidden).

        inputs are token ids (batch, tokens), or what the frozen layers made of them (batch, tokens,
        hidden).
        """
        if inputs.is_floating_point():
            hidden = self.run_layers(inputs, attention_mask, slice(self.frozen_layers, None))
        else:
            output = self.backbone(input_ids=inputs, attention_mask=attention_mask)
            hidden = output.last_hidden_state  # (batch, tokens, hidden)
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)  # (batch, tokens, 1)
        mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)  # (batch, hidden)
        return nn.functional.normalize(mean, dim=-1)

    def run_layers(
        self, hidden: torch.Tensor, attention_mask: torch.Tensor, layers: slice
    ) -> torch.Tensor:
        """Return hidden states (batch, tokens, hidden) after some of the encoder's layers."""
        config = self.backbone.config
        mask = create_bidirectional_mask(config, hidden, attention_mask)
        for layer in self.backbone.encoder.layer[layers]:
            hidden = layer(hidden, mask)
        return hidden

    def forward(self, inputs: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, classes); see `embed` for inputs."""
        return self.head(self.dropout(self.embed(inputs, attention_mask)))

    def start_from_prototypes(self, embeddings: torch.Tensor, targets: torch.Tensor) -> None:
        """Set each class's weights to its mean embedding (prototypes: Snell et al. 2017).

        embeddings (rows, hidden) are unit vectors, targets (rows,) class indices. The first step
        of training then starts from a nearest-mean classifier instead of from noise.
        """
        means = [
            embeddings[targets == index].mean(dim=0) for index in range(self.head.out_features)
        ]
        with torch.no_grad():
            self.head.weight.copy_(nn.functional.normalize(torch.stack(means), dim=-1) * HEAD_SCALE)
            self.head.bias.zero_()

    def freeze(self, layers: int) -> None:
        """Keep the embeddings and the lowest `layers` as they come; with 0 everything trains."""
        available = len(self.backbone.encoder.layer)
        if layers > available:
            raise UserError(f"train.freeze_layers: the backbone has {available} layers to freeze")
        self.frozen_layers = layers
        for module in self._frozen():
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> "Classifier":
        """Set training mode, with dropout; what is frozen keeps computing the same."""
        super().train(mode)
        for module in self._frozen():
            module.eval()
        return self

    def _frozen(self) -> list[nn.Module]:
        layers = self.backbone.encoder.layer[: self.frozen_layers]
        return [self.backbone.embeddings, *layers] if self.frozen_layers else []


def fetch_backbone(model: Model) -> Path:
    """Return a folder with the backbone's files; `model.sha256` is that of the weights.

    `model.backbone` is a local folder or any source that `sources.fetch` reads, such as
    hf://sentence-transformers/all-MiniLM-L6-v2@REVISION.
    """
    if model.backbone.startswith("hf://") and "@" not in model.backbone:
        raise UserError(f"model.backbone: pin a revision, {model.backbone}@REVISION")
    paths = [
        sources.fetch(
            f"{model.backbone}/{name}",
            model.sha256 if name == WEIGHTS else None,
            CACHE,
            "model.backbone",
        )
        for name in (WEIGHTS, "config.json", "tokenizer.json")
    ]
    return paths[0].parent


def load_backbone(folder: Path) -> Any:
    """Load an encoder from safetensors, never from a pickle."""
    try:
        backbone = AutoModel.from_pretrained(folder, use_safetensors=True, local_files_only=True)
        backbone.pooler = None  # of BERT, for another task: the mean over tokens takes its place
        len(backbone.encoder.layer)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"model.backbone: {folder} holds no usable encoder: {reason}") from None
    except AttributeError:
        raise UserError(f"model.backbone: {folder} holds no encoder of the BERT kind") from None
    return backbone


def embed_texts(model: Classifier, ids: list[list[int]], batch_size: int = 64) -> torch.Tensor:
    """Return one unit vector a text, (texts, hidden), without gradients or dropout."""
    model.eval()
    device = model.head.weight.device
    embeddings = torch.zeros(len(ids), model.head.in_features)
    lengths = np.array([len(row) for row in ids])
    with torch.inference_mode():
        for batch in tqdm(bucket(lengths, batch_size), desc="embedding", leave=False):
            inputs = (torch.from_numpy(array).to(device) for array in pad([ids[i] for i in batch]))
            embeddings[torch.from_numpy(batch)] = model.embed(*inputs).cpu()
    return embeddings
