"""From the exported model to answers over HTTP."""

import os

# Each of the server's threads computes an answer of its own. More of numpy's would take the cores
# from the others, and wait for each other without giving them back. Read when numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
