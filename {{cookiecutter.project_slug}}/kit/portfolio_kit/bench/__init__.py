"""Measures a project's API against other ways to serve its model, and its drift detection."""
