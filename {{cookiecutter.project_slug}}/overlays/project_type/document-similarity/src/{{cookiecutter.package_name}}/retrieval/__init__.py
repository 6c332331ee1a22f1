"""Documents, their words and their vectors: what a search looks through."""

import onnxruntime  # noqa: F401 - loaded after usearch, it crashes the process
