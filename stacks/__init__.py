"""What AWS is asked for: one stack for the router, one per model and tier."""
