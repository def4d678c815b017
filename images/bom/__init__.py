"""The bill of materials of an image: the packages in it, and the model, in the form of CycloneDX 1.6."""
