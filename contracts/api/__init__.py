"""The HTTP API of each task: its inputs, its parameters with limits and defaults, its outputs, an example.

One module per task. The functions check requests against it, the router derives its OpenAPI document from it.
"""
