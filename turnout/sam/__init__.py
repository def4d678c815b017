"""`turnout sam`: the deployment's images and API for AWS's SAM command line, beside a local cloud."""
