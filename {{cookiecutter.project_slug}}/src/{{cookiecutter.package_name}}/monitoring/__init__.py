"""How good live answers were, once their outcomes are known."""
