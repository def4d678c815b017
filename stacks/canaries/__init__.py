"""Canaries of new versions of CPU functions, and the alarms that take them back."""
