"""Faults by a script: services and tiers of the local cloud that fail in AWS's words, at the times that a file says."""
