"""Artefact in, answers out: the code that the CPU function and the GPU container share."""
