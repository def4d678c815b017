"""The HTTPS endpoint: it checks the key, chooses the tier, invokes it and answers."""
