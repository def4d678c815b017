"""Permissions: the calls that functions and services make with a role, checked by its policies and recorded."""
