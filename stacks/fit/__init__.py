"""The memory that a causal language model takes on a GPU under vLLM, and the cheapest instance that has it."""
