"""The tokenizer of Marian's models, whose folders have two models of SentencePiece in place of a tokenizer.json."""
