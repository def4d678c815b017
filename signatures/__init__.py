"""Signatures of models in the OpenSSF Model Signing format: who signed a folder, and that it holds what was signed."""
