"""CDK stacks: one for the router, one per model and tier."""
