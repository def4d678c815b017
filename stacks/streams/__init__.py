"""The front of streams: a REST API, and the function of the router behind it."""
