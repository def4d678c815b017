"""The custom domain of a deployment, in front of both of its APIs."""
