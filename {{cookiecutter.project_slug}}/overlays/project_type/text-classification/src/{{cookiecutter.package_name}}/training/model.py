"""The classifier: a pretrained sentence encoder with one linear layer on top."""

from typing import Any, NamedTuple

import torch
from torch import nn

from portfolio_kit.text.encoder import Encoder

HEAD_SCALE = 20.0  # logits of unit vectors lie in [-1, 1], too flat for a softmax without it


class Examples(NamedTuple):
    """Texts, their token ids, and their class indices (texts,)."""

    texts: list[str]
    ids: list[list[int]]
    targets: torch.Tensor


class Classifier(Encoder):
    """Encoder, mean over tokens, unit length, linear head."""

    def __init__(self, backbone: Any, n_classes: int, dropout: float) -> None:
        super().__init__(backbone)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(backbone.config.hidden_size, n_classes)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (batch, classes) and unit vectors (batch, hidden) of (batch, tokens)."""
        embeddings = self.embed(input_ids, attention_mask)
        return self.head(self.dropout(embeddings)), embeddings

    def start_from_prototypes(self, embeddings: torch.Tensor, targets: torch.Tensor) -> None:
        """Set each class's weights to its mean embedding (prototypes: Snell et al. 2017).

        embeddings (rows, hidden) are unit vectors, targets (rows,) class indices. Training then
        starts from a nearest-mean classifier instead of from noise.
        """
        classes = range(self.head.out_features)
        means = torch.stack([embeddings[targets == index].mean(dim=0) for index in classes])
        with torch.no_grad():
            self.head.weight.copy_(nn.functional.normalize(means, dim=-1) * HEAD_SCALE)
            self.head.bias.zero_()
