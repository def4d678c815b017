"""Compare an artefact's graph with its original's: `turnout inspect`."""
