"""The answer to a request: the attempts on its targets, within its deadline."""
