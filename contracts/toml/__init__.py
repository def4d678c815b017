"""Files of TOML, read strictly: the kinds of values, and tables whose problems are all found at once."""
