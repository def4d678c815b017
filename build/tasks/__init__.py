"""The tasks as the build knows them, one module each: rows, metric, export, labels, outputs.

To add one, follow "Add a task" in CONTRIBUTING.md.
"""
