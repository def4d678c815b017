"""Weights that were pushed to S3: their bucket, and how vLLM is given them."""
