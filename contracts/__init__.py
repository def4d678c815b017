"""The words every side shares: requests, answers, manifests, model specs, errors. Standard library only."""
