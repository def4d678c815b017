"""Export by optimum, in an environment of its own that holds the transformers release which optimum needs."""
