"""Images without the files that no request opens, and the proof that they answer as with them."""
