"""Read a model, whatever it was saved as, without running any of its code."""
