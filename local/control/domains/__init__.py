"""Custom domains of API Gateway, their certificates and records, in templates and in requests."""
