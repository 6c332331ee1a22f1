"""Scores files of any size with the exported model: streamed, resumable, checked for drift."""
