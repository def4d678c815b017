"""`turnout sign`: signatures of artefacts and sources."""
