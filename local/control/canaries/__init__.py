"""Two versions behind one alias: weights, errors by version, and CodeDeploy, which moves from one to the other."""
