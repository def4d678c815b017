"""The check of an artefact on a GPU: everything that needs one, in one go, and one dated result file."""
