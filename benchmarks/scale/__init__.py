"""A deployment of many models: its synthesis phase by phase, its stacks, and the start of its router."""
