"""Labelled rows, metrics and the gate."""
