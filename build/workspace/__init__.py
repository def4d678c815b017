"""The surroundings of a build: its work folder, cache, progress and memory."""
