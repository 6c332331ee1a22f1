"""What was served, compared with what was trained on."""
