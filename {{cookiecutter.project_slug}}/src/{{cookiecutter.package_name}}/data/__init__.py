"""From a source to `data/processed/`."""
