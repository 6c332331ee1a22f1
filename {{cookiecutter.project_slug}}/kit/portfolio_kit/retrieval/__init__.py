"""Search in documents: by meaning, by words, or both, while documents come and go."""
