"""The contracts between all parts: requests, answers, manifests, model specs, errors. Standard library only."""
