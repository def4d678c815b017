"""The table of every setting in a model's folder: honoured, harmless, or refused."""
