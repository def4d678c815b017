"""The same system on one machine: moto answers the control plane, our hosts run the functions."""
