"""What a forecaster adds to the sections of `params.yaml` that every project has."""

from ..config import Serve


class Serving(Serve):
    """What the API of a forecaster adds to every API's settings."""

    total: bool = False  # whether a sum over time means something, as it does of sales
