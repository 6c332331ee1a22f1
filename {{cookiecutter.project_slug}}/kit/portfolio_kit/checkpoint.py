"""A training run's progress on disk: a killed run resumes and ends with the same weights."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from . import artifacts

CHECKPOINT = Path(".cache/checkpoint.safetensors")


class Checkpoint:
    """The state of a training run, in one file that is replaced in one step."""

    def __init__(self, code: Path, *identity: Any, path: Path = CHECKPOINT) -> None:
        """Read what was saved last, unless anything that decides the weights has changed.

        That is `identity`, torch's version, the Python files under `code`, and this package's.
        """
        self._path, self.name = path, "training" if path == CHECKPOINT else path.stem
        digest = hashlib.sha256(json.dumps([torch.__version__, *identity]).encode())
        for folder in (code, Path(__file__).parent):
            for source in sorted(folder.rglob("*.py")):
                digest.update(source.read_bytes())
        self._identity = digest.hexdigest()
        self._tensors: dict[str, torch.Tensor] = {}
        self.step = 0  # steps done
        self.seconds = 0.0  # spent on them
        self.best: dict[str, float] = {}  # the best epoch's scores, and its number
        self.run_id: str | None = None  # of MLflow
        try:
            with safe_open(path, "pt") as file:
                facts = json.loads(file.metadata()["facts"])
                if facts.pop("identity") == self._identity:
                    self._tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                    vars(self).update(facts)
        except (OSError, SafetensorError):
            pass  # nothing was saved yet

    def restore(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> bool:
        """Restore the weights and the optimizer's state; False if training has not begun."""
        model.load_state_dict(self._under("model."), strict=False)
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in self._under("optimizer.").items():
            number, _, key = name.partition(".")
            state.setdefault(int(number), {})[key] = tensor
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
        return self.step > 0

    def is_stale(self, epoch: int, patience: int, epochs: int) -> bool:
        """Tell whether `patience` epochs of the second half have passed without a better one.

        `epoch` of them are finished. In the first half the learning rate is still high: a loss that
        stands still then falls again with the rate.
        """
        return bool(self.best) and epoch - max(self.best["epoch"], epochs // 2) >= patience

    def keep_best(self, model: torch.nn.Module, epoch: int, scores: dict[str, float]) -> None:
        """Keep the weights and scores of the epoch, unless an earlier one had a lower loss."""
        if not self.best or scores["loss"] < self.best["loss"]:
            self.best = {"epoch": epoch, **scores}
            self._tensors |= {f"best.{n}": weight.clone() for n, weight in _trained(model).items()}

    def restore_best(self, model: torch.nn.Module) -> None:
        """Restore the weights of the best epoch."""
        model.load_state_dict(self._under("best."), strict=False)

    def save(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Write everything, after `step` and `seconds` were updated."""
        self._tensors |= {f"model.{name}": weight for name, weight in _trained(model).items()}
        for number, state in optimizer.state_dict()["state"].items():
            self._tensors |= {f"optimizer.{number}.{key}": value for key, value in state.items()}
        facts = {name: getattr(self, name) for name in ("step", "seconds", "best", "run_id")}
        metadata = {"facts": json.dumps({**facts, "identity": self._identity})}
        artifacts.write_atomic(self._path, lambda path: save_file(self._tensors, path, metadata))

    def remove(self) -> None:
        """Delete the file once the model is exported."""
        self._path.unlink(missing_ok=True)

    def _under(self, prefix: str) -> dict[str, torch.Tensor]:
        found = self._tensors.items()
        return {name.removeprefix(prefix): t for name, t in found if name.startswith(prefix)}


def _trained(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.data for name, weight in model.named_parameters() if weight.requires_grad}
