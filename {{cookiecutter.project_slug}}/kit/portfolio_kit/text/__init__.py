"""Texts as models see them: tokens, a pretrained encoder, near-duplicates."""
