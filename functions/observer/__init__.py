"""The observer of GPU tiers: each minute it writes their copies, as the control plane has them."""
