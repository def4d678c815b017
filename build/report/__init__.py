"""The evidence page of a model."""
