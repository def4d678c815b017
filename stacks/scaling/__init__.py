"""Costs and refusals of a GPU tier's scaling, found by replaying the arrivals of a trace."""
