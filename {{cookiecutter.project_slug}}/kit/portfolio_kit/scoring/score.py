"""The score verb: any number of rows through the exported model."""

import random
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .. import cores
from ..artifacts import MODELS
from ..config import Score
from ..errors import UserError
from ..project import Observe, Project
from . import inputs
from .run import REJECTED, Folder, Part, Run, Scores
from .scorer import Scored, Scorer

SAMPLE = 500  # answers of a part whose signals are kept
MAX_PARTS = 200  # whose signals are compared


def score(project: Project, params: Any, source: str, out: str) -> int:
    """Score every row of a source into a folder, or go on where that was stopped.

    Returns 0. Raises `UserError` if a file cannot be read, if the folder holds other scores, or if
    more rows are rejected than `score.max_rejected`.
    """
    serving, settings = project.serving(), params.score
    # Each part runs on one thread, several at a time: faster than one part on several threads.
    workers = cores.threads(params.serve.threads)
    predictor = serving.predictor.load(MODELS, params.serve.model_copy(update={"threads": 1}))
    files = inputs.find(source)
    measured = [inputs.measure(file) for file in files]
    scorer = settings.scorer(predictor, inputs.columns(files[0]), params)
    run = Run(
        model_version=predictor.version,
        precision=predictor.manifest.precision,
        input={file.name: sha256 for file, (sha256, _) in zip(files, measured, strict=True)},
        settings=settings.model_dump(mode="json", exclude={"max_rejected"}),
    )
    folder = Folder(Path(out), run)
    parts: list[Part] = []
    rejected = 0
    expected = sum(rows for _, rows in measured)
    with (
        ThreadPoolExecutor(workers, "score") as threads,
        tqdm(total=expected, unit=" rows", unit_scale=True, desc="scoring") as progress,
    ):
        observe = serving.signals(predictor)
        for part in _in_order(folder, files, settings, scorer, observe, threads, workers):
            parts.append(part.model_copy(update={"signals": []}))  # they would fill the memory
            progress.update(part.rows)
            rejected += len(part.rejected)
            if rejected > settings.max_rejected:
                raise _too_many(folder, parts, rejected, settings.max_rejected)
        progress.total = progress.n
    scores = folder.finish(parts)
    print(_summary(scores, folder))
    print(_drift(folder, len(parts), params))
    return 0


def _in_order(
    folder: Folder,
    files: list[inputs.Input],
    settings: Score,
    scorer: Scorer,
    observe: Observe,
    threads: ThreadPoolExecutor,
    workers: int,
) -> Iterator[Part]:
    """Yield each part, those that are done already as they are, with a few ahead at work."""
    waiting: deque[Future[Part] | Part] = deque()

    def first() -> Part:
        one = waiting.popleft()
        return one if isinstance(one, Part) else one.result()

    try:
        for number, (rows, part) in enumerate(scorer.parts(files, settings.shard_rows)):
            work = folder, number, rows, part, scorer, observe
            waiting.append(folder.part(number) or threads.submit(_part, *work))
            if len(waiting) > workers:
                yield first()
        while waiting:
            yield first()
    finally:
        for one in waiting:
            if isinstance(one, Future):
                one.cancel()


def _part(
    folder: Folder, number: int, rows: int, content: Any, scorer: Scorer, observe: Observe
) -> Part:
    """Score a part and write its shard."""
    start = time.perf_counter()
    scored = scorer.score(content)
    part = Part(
        rows=rows,
        answers=scored.table.num_rows,
        rejected=scored.rejected,
        signals=_signals(scored, observe, number),
        seconds=round(time.perf_counter() - start, 3),
    )
    folder.write(number, scored.table, part)
    return part


def _signals(scored: Scored, observe: Observe, number: int) -> list[dict[str, float | str]]:
    every = range(len(scored.asked))
    some = random.Random(number).sample(every, min(SAMPLE, len(every)))
    return [observe(scored.asked[row], scored.answers[row]).signals for row in sorted(some)]


def _too_many(folder: Folder, parts: list[Part], rejected: int, allowed: int) -> UserError:
    """Write down which rows were rejected so far, and return the error that ends the run."""
    folder.write_rejected(parts)
    file, line, reason = next(one for part in parts for one in part.rejected)
    return UserError(
        f"score.max_rejected: {rejected:,} rows are rejected, more than {allowed:,}; the first "
        f"is {file}, line {line}: {reason} (all so far: {folder.path / REJECTED})"
    )


def _summary(scores: Scores, folder: Folder) -> str:
    speed = scores.rows / scores.seconds if scores.seconds else 0.0
    rejected = f", {scores.rejected:,} rejected ({REJECTED})" if scores.rejected else ""
    return (
        f"{folder.path}: {scores.answers:,} answers to {scores.rows:,} rows{rejected}, by model "
        f"{scores.run.model_version}; {speed:,.0f} rows per second of one thread"
    )


def _drift(folder: Folder, parts: int, params: Any) -> str:
    """Return how the rows compare with the training data, as `monitor` would say."""
    import pandas as pd  # these take a second to import, which an early error should not

    from ..monitoring import drift, reference, served

    chance = random.Random(0)
    some = chance.sample(range(parts), min(parts, MAX_PARTS))
    each = -(-params.monitor.rows // max(1, len(some)))
    rows = []
    for number in some:
        found = folder.signals(number)
        rows += chance.sample(found, min(len(found), each))
    if len(rows) < served.MIN_ROWS:
        return f"drift: not tested, with fewer than {served.MIN_ROWS} answers"
    window = pd.DataFrame(chance.sample(rows, min(len(rows), params.monitor.rows)))
    expected = reference.alike(reference.read(MODELS), window)
    findings = drift.compare(expected, window[list(expected)], params.monitor)
    drifted = [f"{one.signal} (effect {one.effect:.2f})" for one in findings if one.is_alarm]
    return f"drift: {', '.join(drifted)}" if drifted else "drift: none"
