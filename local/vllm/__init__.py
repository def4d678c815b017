"""The laptop's server of the contract of AWS's vLLM container: real weights, by llama.cpp or by vLLM's CPU build."""
