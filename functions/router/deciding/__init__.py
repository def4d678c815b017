"""The decision which target answers a request, as pure functions."""
