"""`turnout push`: weights on their way into the deployment's bucket."""
