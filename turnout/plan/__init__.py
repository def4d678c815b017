"""`turnout plan`: the artefacts to build, the stacks to deploy, their images, and what all of it costs."""
