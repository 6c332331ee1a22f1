"""What the frozen layers make of each text, computed once instead of in every epoch."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from ..errors import UserError
from ..text import bucket, pad
from .encoder import Encoder

FOLDER = Path(".cache")


class FrozenStates:
    """Hidden states of all texts, in a nameless file that is mapped into memory.

    It takes 4 * hidden bytes a token: 1.5 KB for an encoder of 384 dimensions.
    """

    def __init__(self, model: Encoder, ids: list[list[int]]) -> None:
        """Run the frozen layers.

        Raises `UserError` if the disk is too small, or the encoder more than a stack of layers.
        """
        lengths = np.array([len(row) for row in ids])
        self._ends = np.cumsum(lengths)
        self._starts = self._ends - lengths
        shape = (int(self._ends[-1]), model.backbone.config.hidden_size)
        FOLDER.mkdir(exist_ok=True)
        needed, free = 4 * shape[0] * shape[1] / 1e9, shutil.disk_usage(FOLDER).free / 1e9
        if needed > free:
            raise UserError(
                f"train.cache_frozen: it needs {needed:.1f} GB of disk, of which {free:.1f} GB are "
                "free; set it to false"
            )
        # Gone when the process is, however it ends.
        with tempfile.TemporaryFile(dir=FOLDER) as file:
            self._states = np.memmap(file, np.float32, "w+", shape=shape)
        model.eval()
        batches = bucket(lengths, 64)
        with torch.inference_mode():
            for batch in tqdm(batches, desc="frozen layers", leave=False):
                inputs = map(torch.from_numpy, pad([ids[row] for row in batch]))
                input_ids, mask = (tensor.to(model.device) for tensor in inputs)
                layers = slice(None, model.frozen_layers)
                states = model.run_layers(model.backbone.embeddings(input_ids), mask, layers)
                if batch is batches[0]:
                    _compare(model.embed(states, mask), model.embed(input_ids, mask))
                for row, values in zip(batch, states.float().cpu().numpy(), strict=True):
                    self._states[self._starts[row] : self._ends[row]] = values[: lengths[row]]

    def batch(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return states (rows, tokens of the longest, hidden) and mask (rows, tokens)."""
        texts = [self._states[self._starts[row] : self._ends[row]] for row in rows]
        masks = [torch.ones(len(text), dtype=torch.int64) for text in texts]
        states = pad_sequence([torch.from_numpy(text) for text in texts], batch_first=True)
        return states, pad_sequence(masks, batch_first=True)


def _compare(from_states: torch.Tensor, from_ids: torch.Tensor) -> None:
    if not torch.allclose(from_states, from_ids, atol=1e-2):
        raise UserError(
            "train.cache_frozen: this encoder passes more than hidden states from layer to layer; "
            "set it to false"
        )
