"""Requests through every fault of a deployment in the local cloud."""
