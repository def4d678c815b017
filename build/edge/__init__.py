"""Edge copies: an artefact with a script that runs it anywhere."""
