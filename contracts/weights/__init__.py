"""Weights that lie in the deployment's bucket instead of an image."""
