"""Wheels: locked, downloaded, checked and unpacked."""
