"""Tiny models as four releases of transformers save them, for tests/saved_folders."""
