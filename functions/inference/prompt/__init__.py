"""The tokens that a model that writes goes on from: those of a text, or of a chat within the model's own template."""
