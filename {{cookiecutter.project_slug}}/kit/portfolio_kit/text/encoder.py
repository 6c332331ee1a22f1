"""A pretrained sentence encoder: where it comes from, and how it maps a text to a vector."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError
from torch import nn
from tqdm import tqdm
from transformers import AutoModel

from .. import sources
from ..errors import UserError
from .tokens import bucket, pad

FILES = ("model.safetensors", "config.json", "tokenizer.json")
CACHE = Path(".cache/backbone")


class Encoder(nn.Module):
    """A pretrained encoder, the mean over its tokens, unit length."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone: Any = backbone
        self._frozen: list[nn.Module] = []

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.backbone.device

    def embed(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return unit vectors (batch, hidden); both inputs are (batch, tokens)."""
        output = self.backbone(input_ids=input_ids, attention_mask=attention_mask)
        hidden = output.last_hidden_state  # (batch, tokens, hidden)
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)  # (batch, tokens, 1)
        mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)  # (batch, hidden)
        return nn.functional.normalize(mean, dim=-1)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        """Return unit vectors (batch, hidden); a subclass may return more."""
        return self.embed(input_ids, attention_mask)

    def freeze(self, layers: int) -> None:
        """Keep the embeddings and the lowest `layers` as they are; 0 trains everything."""
        available = len(self.backbone.encoder.layer)
        if layers > available:
            raise UserError(f"train.freeze_layers: the backbone has {available} layers to freeze")
        if layers:
            self._frozen = [self.backbone.embeddings, *self.backbone.encoder.layer[:layers]]
        for module in self._frozen:
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Set training mode, with dropout, for all but the frozen layers."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self


def fetch_backbone(backbone: str, sha256: Mapping[str, str] | None) -> Path:
    """Return a folder with the backbone's files, each with its hash in `sha256`, if that is given.

    `backbone` is a local folder or any source that `sources.fetch` reads, such as
    hf://sentence-transformers/all-MiniLM-L6-v2@REVISION. Raises `UserError` if a file is missing or
    altered.
    """
    if backbone.startswith("hf://") and "@" not in backbone:
        raise UserError(f"model.backbone: pin a revision, {backbone}@REVISION")
    pins = dict.fromkeys(FILES) if sha256 is None else sha256
    if not isinstance(pins, Mapping) or {*pins} != {*FILES}:
        raise UserError(f"model.sha256: give the hash of each file: {', '.join(FILES)}; or null")
    paths = [
        sources.fetch(f"{backbone}/{name}", pins[name], CACHE, "model.backbone") for name in FILES
    ]
    return paths[0].parent


def load_backbone(folder: Path) -> Any:
    """Load an encoder from safetensors, never from a pickle."""
    try:
        backbone = AutoModel.from_pretrained(folder, use_safetensors=True, local_files_only=True)
        backbone.pooler = None  # BERT's, for another task; the mean over tokens replaces it
        len(backbone.encoder.layer)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"model.backbone: {folder} holds no usable encoder: {reason}") from None
    except AttributeError:
        raise UserError(f"model.backbone: {folder} holds no BERT-like encoder") from None
    return backbone


def embed_texts(model: Encoder, ids: list[list[int]], batch_size: int = 64) -> torch.Tensor:
    """Return unit vectors (texts, hidden), computed without gradients or dropout."""
    model.eval()
    embeddings = torch.zeros(len(ids), model.backbone.config.hidden_size)
    lengths = np.array([len(row) for row in ids])
    with torch.inference_mode():
        for batch in tqdm(bucket(lengths, batch_size), desc="embedding", leave=False):
            inputs = map(torch.from_numpy, pad([ids[row] for row in batch]))
            vectors = model.embed(*(tensor.to(model.device) for tensor in inputs))
            embeddings[torch.from_numpy(batch)] = vectors.float().cpu()
    return embeddings


def in_bf16(precision: str, device: torch.device) -> bool:
    """Tell whether matrix products use bf16, which without hardware support would be slow."""
    if device.type == "cuda":
        in_hardware = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        processor = torch.cpu.get_capabilities()
        in_hardware = any(processor.get(name) for name in ("avx512_bf16", "amx_bf16"))
    return precision == "bf16" or (precision == "auto" and in_hardware)
