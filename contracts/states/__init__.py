"""The rows of the table that instances of the router share."""
