"""`turnout fit`: the cheapest instance whose GPUs hold a causal language model, before anything is deployed."""
