"""The tasks as the build knows them, one module each: rows, metric, export, labels, outputs.

To add a task, describe it in a module of its own as `text_classification` does, and list it in `registry`.
"""
