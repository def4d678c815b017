"""The reading of a source, proved: in full precision a model has to answer as its own library does."""
