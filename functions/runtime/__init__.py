"""A loop over the Lambda Runtime API that can stream, for handlers that AWS's own runtime client answers whole."""
