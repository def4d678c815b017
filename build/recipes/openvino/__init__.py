"""The recipes of candidates for OpenVINO."""
