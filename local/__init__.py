"""The local cloud: the deployed system on one machine, with moto as control plane and processes as data plane."""
