"""The sampling function: it has the GPU tier answer what the CPU tier has answered, and compares the two."""
