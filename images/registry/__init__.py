"""Registries of images: what is taken from them and what is sent to them, by the HTTP API of the OCI."""
