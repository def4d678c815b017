"""n-gram models as ARPA files."""
