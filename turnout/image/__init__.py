"""`turnout image`: the container images of a deployment, made without an engine."""
