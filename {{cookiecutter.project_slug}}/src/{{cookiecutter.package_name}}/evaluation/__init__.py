"""From the exported model and the held-out test set to `reports/`."""
