"""What the serving benchmark compares this API with: itself."""

import json
import sys
from pathlib import Path
from typing import Any

from portfolio_kit.bench.rivals import Goal, Rival, Rivals

from .params import Params

TWIN = "its twin"


def rivals(params: Params, bench_python: Path) -> list[Rival]:
    return [Rival(TWIN, "the same", [sys.executable, "-m", "tiny", "serve"])]


def difference(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    pairs = zip(ours["labels"], theirs["labels"], strict=True)
    return max(abs(one["score"] - other["score"]) for one, other in pairs)


RIVALS = Rivals(
    path="/label",
    bodies=lambda: [json.dumps({"texts": ["x" * length]}) for length in range(10, 30)],
    others=rivals,
    goals=(Goal("rate", 64, TWIN, at_least=0.5), Goal("p50", 1, None, at_most=1000)),
    tolerance={"fp32": 1e-6},
    difference=difference,
)
