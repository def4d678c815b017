"""The task of a model that a user names, found by what its files say of it."""
