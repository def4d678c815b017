"""`turnout batch`: all rows of a file to the endpoint, and every answer exactly once in another file."""
