"""Word vectors: word2vec, GloVe and fastText files."""
