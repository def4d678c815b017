"""`turnout init`: the table of a model in models.toml, written from what the model's files say."""
