"""A breaker for a store that may be away: after some failures in a row it is not asked for a while, longer each time."""

from collections.abc import Callable


class Breaker:
    """`allows()` says whether to ask; `succeeded()` and `failed()` tell how it went. Times in seconds of `clock`.

    Once the wait is over one caller is let through as a probe, and the others only after it has succeeded. (`purgatory`, which
    would do, opens for a fixed time and lets everybody through at its end.)
    """

    def __init__(
        self, clock: Callable[[], float], *, failures: int = 2, first_wait_s: float = 1.0, longest_wait_s: float = 15.0
    ) -> None:
        self._clock = clock
        self._failures = failures
        self._first_wait_s = first_wait_s
        self._longest_wait_s = longest_wait_s
        self._in_a_row = 0
        self._closed_again_at = 0.0

    @property
    def open(self) -> bool:
        return self._in_a_row >= self._failures

    def allows(self) -> bool:
        """Whether to ask the store now. When it was open and says yes, it counts on being told how the probe went."""
        if not self.open:
            return True
        if (now := self._clock()) < self._closed_again_at:
            return False
        self._closed_again_at = now + self._wait_s()
        return True

    def succeeded(self) -> None:
        self._in_a_row = 0

    def failed(self) -> None:
        self._in_a_row += 1
        if self.open:
            self._closed_again_at = self._clock() + self._wait_s()

    def _wait_s(self) -> float:
        return float(min(self._first_wait_s * 2 ** (self._in_a_row - self._failures), self._longest_wait_s))
