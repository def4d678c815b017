"""Lambda functions in the local cloud: each execution environment is a process, or a copy of a made image."""
