"""Vectors of words: nearest neighbours, analogies, and words that no table has."""
