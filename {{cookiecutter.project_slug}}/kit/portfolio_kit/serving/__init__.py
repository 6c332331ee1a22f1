"""From the exported model to answers over HTTP."""

import os

# Each server thread computes a separate answer. More of numpy's threads would take the cores
# from the others and spin while they wait. Read when numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
