"""How the learning rate moves."""


def warm_up_and_decay(step: int, steps: int, warmup_fraction: float) -> float:
    """Return the factor on the learning rate: up to 1 over the warm-up, then down to 0."""
    warmup = max(1, round(steps * warmup_fraction))
    return min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))
