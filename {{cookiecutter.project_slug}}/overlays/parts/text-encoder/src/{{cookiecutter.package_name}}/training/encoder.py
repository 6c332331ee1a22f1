"""A pretrained sentence encoder: where it comes from, and how it makes a vector of a text."""

from pathlib import Path
from typing import Any, Self

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


class Encoder(nn.Module):
    """A pretrained encoder, the mean over its tokens, unit length."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone: Any = backbone
        self.frozen_layers = 0

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.backbone.device

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
        """Return unit vectors (batch, hidden); see `embed` for inputs."""
        return self.embed(inputs, attention_mask)

    def freeze(self, layers: int) -> None:
        """Keep the embeddings and the lowest `layers` as they come; with 0 everything trains."""
        available = len(self.backbone.encoder.layer)
        if layers > available:
            raise UserError(f"train.freeze_layers: the backbone has {available} layers to freeze")
        self.frozen_layers = layers
        for module in self._frozen():
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
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


def embed_texts(model: Encoder, ids: list[list[int]], batch_size: int = 64) -> torch.Tensor:
    """Return one unit vector a text, (texts, hidden), without gradients or dropout."""
    model.eval()
    device = model.device
    embeddings = torch.zeros(len(ids), model.backbone.config.hidden_size)
    lengths = np.array([len(row) for row in ids])
    with torch.inference_mode():
        for batch in tqdm(bucket(lengths, batch_size), desc="embedding", leave=False):
            inputs = (torch.from_numpy(array).to(device) for array in pad([ids[i] for i in batch]))
            embeddings[torch.from_numpy(batch)] = model.embed(*inputs).cpu()
    return embeddings


def in_bf16(precision: str, device: torch.device) -> bool:
    """Say whether matrix products are to be in bf16; without hardware for it they would be slow."""
    if device.type == "cuda":
        in_hardware = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        processor = torch.cpu.get_capabilities()
        in_hardware = any(processor.get(name) for name in ("avx512_bf16", "amx_bf16"))
    return precision == "bf16" or (precision == "auto" and in_hardware)
