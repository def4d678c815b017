"""The cascade: the CPU tier's answer is kept where it is certain enough, and the GPU tier is asked otherwise."""
