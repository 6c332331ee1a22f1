"""How often a client may ask, in memory."""

import time
from collections import OrderedDict

import limits
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

MAX_CLIENTS = 10_000  # that a limit tells apart; their counters take 3 MB


class RateLimit:
    """Limits as `serve.rate_limit` has them, such as 10/second;600/minute.

    A window is fixed and begins with a client's first request. Its end is exact, so `Retry-After`
    is, and it takes one counter. (A moving window takes a time stamp per request, and a sliding
    counter lets requests in too early after a late burst.)
    """

    def __init__(self, text: str) -> None:
        items = limits.parse_many(text)
        self._windows = [(item, FixedWindowRateLimiter(Counters())) for item in items]

    def hit(self, who: str) -> float:
        """Count a request; return the seconds until there is room again, 0 if there is now."""
        ends = [
            window.get_window_stats(item, who).reset_time
            for item, window in self._windows
            if not window.hit(item, who)
        ]
        return max(ends) - time.monotonic() if ends else 0


class Counters(Storage):
    """Counters of a bounded number of clients; the library's own start a thread per request."""

    base_exceptions = ValueError

    def __init__(self) -> None:
        super().__init__()
        self.windows: OrderedDict[str, tuple[int, float]] = OrderedDict()  # the first to end first

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Return the count of this window, or of a new one, which ends after `expiry` seconds."""
        now = time.monotonic()
        count, end = self.windows.get(key, (0, 0.0))
        if end <= now:
            self.windows.pop(key, None)
            count, end = 0, now + expiry
            if len(self.windows) >= MAX_CLIENTS:
                self.windows.popitem(last=False)
        self.windows[key] = count + amount, end
        return count + amount

    def get(self, key: str) -> int:
        """Return a count."""
        return self.windows.get(key, (0, 0.0))[0]

    def get_expiry(self, key: str) -> float:
        """Return the time when a window ends, by the monotonic clock."""
        return self.windows.get(key, (0, 0.0))[1]

    def clear(self, key: str) -> None:
        """Forget a client."""
        self.windows.pop(key, None)

    def reset(self) -> None:
        """Forget all clients."""
        self.windows.clear()

    def check(self) -> bool:
        """Tell that memory is always there."""
        return True
