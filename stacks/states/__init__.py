"""The state of targets that instances of the router share, in deployments that have a GPU tier."""
