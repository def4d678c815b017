"""Folders that several processes write to, or that one is killed in."""
