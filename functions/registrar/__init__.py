"""The custom resource that writes the registry."""
