"""Images as people write them who serve the same model without Turnout; `benchmarks.image` compares ours with them."""
