"""A model of `models/`, loaded: the base of every project's `Predictor`."""

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import onnxruntime

from .. import artifacts, cores
from ..config import Serve
from ..errors import UserError
from ..records import Manifest

M = TypeVar("M", bound=Manifest)


class OnnxModel(ABC, Generic[M]):
    """An ONNX session and the manifest that describes it."""

    manifest_type: ClassVar[type[Manifest]]
    max_cost: ClassVar[int]  # of one batch: a larger one delays the next and gains little

    def __init__(self, folder: Path, manifest: M, settings: Serve) -> None:
        options = onnxruntime.SessionOptions()
        # Concurrent calls share these threads. A waiting one sleeps instead of taking their core.
        options.intra_op_num_threads = cores.threads(settings.threads)
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            os.fspath(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self.folder, self.manifest, self.settings = folder, manifest, settings

    @classmethod
    def load(cls, folder: Path, settings: Any) -> Self:
        """Load and warm up a model; raises `UserError` if a file is missing or altered."""
        manifest: Any = artifacts.read_manifest(folder, cls.manifest_type, made_by="train")
        try:
            predictor = cls(folder, manifest, settings)
            predictor.warm_up()
        except UserError:
            raise
        except Exception as error:  # onnxruntime has its own exceptions
            reason = f"{type(error).__name__}: {' '.join(str(error).split()):.200}"
            raise UserError(f"{folder}: cannot be loaded ({reason}); run `make train`") from error
        return predictor

    @property
    def version(self) -> str:
        """Return the first digits of the model file's hash."""
        return self.manifest.version

    @property
    def facts(self) -> dict[str, Any]:
        """Return what `GET /model` says beyond what it says of every model."""
        return {}

    def warm_up(self) -> None:
        """Answer once: a first answer takes longer."""
        self.predict(["warm up"])

    def close(self) -> None:
        """Release what it holds on disk, when the service stops."""

    @abstractmethod
    def prepare(self, inputs: list[Any]) -> list[Any]:
        """Return an item per input; `len` of an item is the cost of answering it."""

    @abstractmethod
    def answer(self, items: list[Any]) -> list[Any]:
        """Return the answer to each item."""

    @abstractmethod
    def predict(self, texts: list[str]) -> list[Any]:
        """Return the answer to each argument of the command line, as JSON."""
