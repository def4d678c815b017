"""The retry budget: second attempts are a share of the requests, so that an outage is not made worse by them.

https://sre.google/sre-book/addressing-cascading-failures/ (Retries)
"""

import threading

# A tenth of the requests may be sent twice, and ten after a quiet time.
SHARE, MOST = 0.1, 10.0


class RetryBudget:
    """A bucket of second attempts, into which each request pays a share of one."""

    def __init__(self, share: float = SHARE, most: float = MOST) -> None:
        self.share, self.most, self.left = share, most, most
        self.lock = threading.Lock()

    def pay(self) -> None:
        with self.lock:
            self.left = min(self.left + self.share, self.most)

    def take(self) -> bool:
        """Return True if there is a second attempt left, and take it."""
        with self.lock:
            if self.left < 1:
                return False
            self.left -= 1
            return True
