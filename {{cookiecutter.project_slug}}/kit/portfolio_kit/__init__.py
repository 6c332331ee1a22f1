"""The machinery of an ML project: everything between a problem and a service but the model itself.

A project describes itself with one `Project` and hands it to `main`; the README next to this
package maps the modules. Nothing in here imports a project's own package.
"""

import os

from .project import Project, Reporting, Serving

__version__ = "0.2.0"
__all__ = ["Project", "Reporting", "Serving", "__version__"]

# Disable telemetry: some dependencies report usage by default.
for _switch in (
    "DO_NOT_TRACK",
    "DVC_NO_ANALYTICS",
    "HF_HUB_DISABLE_TELEMETRY",
    "MLFLOW_DISABLE_TELEMETRY",
    "ORT_DISABLE_TELEMETRY",
):
    os.environ.setdefault(_switch, "1")

# OpenMP's threads spin while they wait for each other. Next to another busy process that slows
# training tenfold, so they sleep after a moment; libgomp reads this once, when torch is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
