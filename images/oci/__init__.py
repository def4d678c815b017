"""Images in the form of the OCI: written, read with every digest checked, and held to what Lambda takes."""
