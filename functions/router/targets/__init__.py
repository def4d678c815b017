"""The targets of the router: their invocation, and the releases that the registry knows of them."""
