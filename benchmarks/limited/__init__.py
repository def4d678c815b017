"""Measurements under the limits that Lambda has and this machine does not: a share of a CPU, a slow disk."""
