"""The custom resource that has a deployed function answer its probe."""
