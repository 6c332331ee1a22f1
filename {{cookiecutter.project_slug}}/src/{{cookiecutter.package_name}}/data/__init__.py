"""From a source on disk or on the network to `data/processed/`."""
