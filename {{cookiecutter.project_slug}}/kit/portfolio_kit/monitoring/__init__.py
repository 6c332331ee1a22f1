"""What was served, compared with the training data."""
