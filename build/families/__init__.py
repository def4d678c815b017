"""Kinds of model: how each is prepared, made into candidates and run."""
