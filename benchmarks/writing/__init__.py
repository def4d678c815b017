"""The CPU tier beside llama.cpp's server on the same weights: time to first token, and the time of each further one."""
