"""Rerankers that are chat models: a query and a text are put into a template, and the score is a token's logit."""
