"""Behaviour of S3 that moto lacks."""
