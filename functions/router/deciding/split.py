"""The place of a client in a split: the same at every instance, as long as the weights stand.

Weighted rendezvous hashing: each tier draws a number from the hash of model, tier and client, and the smallest wins.
That is a tier's with the probability of its share of the weights, and where one grows, clients move to that tier alone.
Thaler, Ravishankar, https://doi.org/10.1109/90.663936; with weights Schindelhauer, Schomaker,
https://doi.org/10.1145/1073970.1074008
"""

import hashlib
import math

from contracts.tasks import Tier


def distance(model: str, tier: Tier, client: str, weight: int) -> float:
    """Return the distance of a client from a tier, exponentially distributed with the rate `weight`."""
    if not weight:
        return math.inf
    digest = hashlib.sha256(f"{model}\0{tier}\0{client}".encode()).digest()
    # Above 0, whose logarithm there is not.
    uniform = (int.from_bytes(digest[:8]) + 1) / 2**64
    return -math.log(uniform) / weight
