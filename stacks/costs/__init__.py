"""The cost of a deployment: dated prices, the units that a request takes of each, and the tiers compared by them."""
