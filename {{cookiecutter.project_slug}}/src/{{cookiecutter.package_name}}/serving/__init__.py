"""From the exported model to answers over HTTP."""
