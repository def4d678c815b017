"""The tokenizer of Marian's models, which two models of SentencePiece and a list of ids make."""
