"""`turnout up`: the whole product on this machine, in a local cloud."""
