"""Serving: the time of a decision, the router's own share of a request, and throughput and latency under load."""
