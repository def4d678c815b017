"""Streamed responses of the runtimes, as AWS's event streams."""
