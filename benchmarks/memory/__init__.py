"""The memory of the CPU function, of builds and of the local cloud."""
