"""Metrics of the local cloud that alarms are evaluated on."""
