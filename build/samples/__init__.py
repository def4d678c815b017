"""The project's own sample: texts in several languages, the rows that are made of them, and how a build knows them."""
