"""Edge copies: a sealed artefact with an archive of code that runs it without Turnout."""
