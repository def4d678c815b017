"""A smoke test of a whole deployment in a real account, with a cap on what it may cost."""
