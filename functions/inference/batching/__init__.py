"""Batches of an encoder: which cores run them, and what each text gets of their output."""
