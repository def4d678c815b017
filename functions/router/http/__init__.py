"""The HTTP application: paths and methods, keys, CORS, the documents, and the adapter to Lambda."""
