"""A model of `models/`, loaded: what every project type's `Predictor` begins with."""

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

import onnxruntime

from .. import artifacts, cores
from ..config import Serve
from ..errors import UserError


class Exported(ABC):
    """The session that computes, and the manifest that says what with."""

    def __init__(self, folder: Path, manifest: dict[str, Any], settings: Serve) -> None:
        options = onnxruntime.SessionOptions()
        # Several threads may ask at a time, and share this many. One that waits sleeps: it would
        # take its core from the others.
        options.intra_op_num_threads = cores.threads(settings.threads)
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            os.fspath(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self.manifest = manifest

    @classmethod
    def load(cls, folder: Path, settings: Any) -> Self:
        """Load and warm up a model, or raise `UserError` if a file is missing or altered."""
        manifest = artifacts.read_manifest(folder, made_by="train")
        try:
            predictor = cls(folder, manifest, settings)
            predictor.warm_up()
        except UserError:
            raise
        except Exception as error:  # onnxruntime's own kinds, or a key that the manifest lacks
            reason = f"{type(error).__name__}: {' '.join(str(error).split()):.200}"
            raise UserError(f"{folder}: cannot be loaded ({reason}); run train again") from error
        return predictor

    @abstractmethod
    def warm_up(self) -> None:
        """Answer once: a project type says what."""

    @property
    def version(self) -> str:
        """Return the first digits of the hash of the model's file."""
        return self.manifest["version"]
