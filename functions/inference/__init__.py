"""Artefact in, answers out: what the CPU function and the GPU container share."""
