"""Scaling of a GPU tier: when it is awake, and how many copies of its component there are at any time."""
