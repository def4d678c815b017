"""The limits of an account: the throttle that its functions bear, and the quotas that a GPU needs."""
