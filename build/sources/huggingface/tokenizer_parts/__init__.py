"""The parts of a tokenizer that a class of transformers 5 makes by itself, whatever tokenizer.json has there."""
