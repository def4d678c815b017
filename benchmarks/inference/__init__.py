"""The runtimes of one model on a CPU, taking turns: `python -m benchmarks.inference`."""
