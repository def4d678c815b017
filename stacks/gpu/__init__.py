"""The stack of a model's GPU tier: its endpoint, how its copies are scaled, and how they are updated."""
