"""Everything between a problem statement and a service that answers it."""

import os

# Nobody is told what runs here: dependencies that report usage by default are switched off.
for _switch in ("MLFLOW_DISABLE_TELEMETRY", "DVC_NO_ANALYTICS", "ORT_DISABLE_TELEMETRY"):
    os.environ.setdefault(_switch, "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")
