"""Container images, made of artefacts and functions without an engine, a daemon or root."""
