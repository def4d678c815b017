"""The original model in transformers, on torch's CPU build."""
