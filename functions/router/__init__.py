"""The one HTTPS face: checks the key, chooses the tier, asks it, answers."""
