"""From `data/processed/` to the exported model in `models/`."""
