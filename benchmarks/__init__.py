"""Measurements, side by side in one run; each writes `results/<name>.json`."""
