"""The comparison of vectors: of texts, and of words."""
