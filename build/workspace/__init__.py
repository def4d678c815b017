"""Folders, cache, progress and memory of a build."""
