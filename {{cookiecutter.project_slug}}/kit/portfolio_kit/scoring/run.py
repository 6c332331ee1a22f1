"""The output folder: shards that are whole or missing, and what they were made of.

run.json        what is scored, and with which model; written first
shards/         Parquet, one per part of the input, in its order
parts/          next to each shard: what was rejected, signals, seconds
manifest.json   the shards with their hashes; written last
rejected.jsonl  rows without an answer, with the reason
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from .. import artifacts
from ..errors import UserError
from ..records import Listed, Record
from .inputs import Rejected

FIELD = "--out"
RUN, REJECTED = "run.json", "rejected.jsonl"


class Run(Record):
    """What a folder of scores was made of."""

    model_version: str
    precision: str
    input: dict[str, str]  # files and their SHA-256
    settings: dict[str, Any]  # what the answers depend on


class Part(Record):
    """What became of one part of the input; its shard holds the answers."""

    rows: int
    answers: int
    rejected: list[Rejected]
    signals: list[dict[str, float | str]]  # of a sample
    seconds: float


class Scores(Listed):
    """`manifest.json` of a finished folder."""

    run: Run
    rows: int
    answers: int
    rejected: int
    seconds: float  # of computing, on all threads together


class Folder:
    """One run's output, which another process may have begun."""

    def __init__(self, path: Path, run: Run) -> None:
        """Open a folder; raises `UserError` if it holds anything that is not of this run."""
        self.path, self.run = path, run
        try:
            path.mkdir(parents=True, exist_ok=True)
            # A process that was killed at once may have left a hidden, unfinished file.
            found = {file.name for file in path.iterdir() if not file.name.startswith(f".{RUN}")}
        except OSError as error:
            raise UserError(f"{FIELD}: {path} cannot be used: {error.strerror}") from None
        if RUN in found:
            self._compare()
        elif found:
            raise UserError(f"{FIELD}: {path} is not empty; name a new folder")
        else:
            artifacts.write_json(path / RUN, run.model_dump(mode="json"))

    def _compare(self) -> None:
        try:
            other = Run.model_validate_json((self.path / RUN).read_bytes())
        except (ValidationError, OSError):
            raise UserError(f"{FIELD}: {self.path / RUN} is damaged; name a new folder") from None
        for name, what in (
            ("model_version", f"model {other.model_version}"),
            ("precision", f"the {other.precision} weights"),
            ("input", "another input"),
            ("settings", "other parameters"),
        ):
            if getattr(other, name) != getattr(self.run, name):
                raise UserError(
                    f"{FIELD}: {self.path} holds scores of {what}; name a new folder, or delete it"
                )

    def part(self, number: int) -> Part | None:
        """Return what is known of a part that is done."""
        return self._read(number) if self._shard(number).is_file() else None

    def signals(self, number: int) -> list[dict[str, float | str]]:
        """Return the signals of a sample of a part's answers."""
        return self._read(number).signals

    def write(self, number: int, table: pa.Table, part: Part) -> None:
        """Write a part; it counts once its shard, which comes last, is there."""
        artifacts.write_text(self._part(number), part.model_dump_json())
        artifacts.write_atomic(self._shard(number), lambda file: pq.write_table(table, file))

    def finish(self, parts: list[Part]) -> Scores:
        """Write the rejected rows, and the manifest with the hash of each shard."""
        for left in self.path.glob("*/.*.partial"):  # by a process that was killed
            left.unlink(missing_ok=True)
        self.write_rejected(parts)
        names = [
            self._shard(number).relative_to(self.path).as_posix() for number in range(len(parts))
        ]
        record = Scores(
            run=self.run,
            rows=sum(part.rows for part in parts),
            answers=sum(part.answers for part in parts),
            rejected=sum(len(part.rejected) for part in parts),
            seconds=round(sum(part.seconds for part in parts), 3),
        )
        return artifacts.write_manifest(self.path, [*names, REJECTED], record)

    def write_rejected(self, parts: list[Part]) -> None:
        """Write one line for each row that was rejected."""
        lines = (
            json.dumps(one._asdict(), ensure_ascii=False) + "\n"
            for part in parts
            for one in part.rejected
        )
        artifacts.write_text(self.path / REJECTED, "".join(lines))

    def _read(self, number: int) -> Part:
        try:
            return Part.model_validate_json(self._part(number).read_bytes())
        except (OSError, ValidationError):
            place = self._part(number)
            raise UserError(f"{FIELD}: {place} is damaged; name a new folder") from None

    def _shard(self, number: int) -> Path:
        return self.path / "shards" / f"part-{number:06}.parquet"

    def _part(self, number: int) -> Path:
        return self.path / "parts" / f"part-{number:06}.json"
