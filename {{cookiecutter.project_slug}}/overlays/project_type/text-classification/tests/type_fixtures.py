"""A small data set."""
