"""Model folder in, sealed artefact out: `build.api` has the functions that do it.

Nothing is imported here, since the processes that a build starts import single modules of the package.
"""
