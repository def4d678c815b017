"""The route table that the router decides by, from settings and what was built."""
