"""The command line and the laptop's composition root."""
