"""How much there was in the fullest window of a length, wherever it begins."""

from collections.abc import Iterable


def fullest(events: Iterable[tuple[float, float]], window_s: float) -> float:
    """The largest sum of weights of the events, (seconds, weight), that lie less than `window_s` apart.

    A window is half open, as a limit is: what comes exactly `window_s` after another event lies in the next one.

    >>> fullest([(0.0, 1), (30.0, 1), (59.9, 1), (60.0, 1)], 60)
    3.0
    """
    ordered = sorted(events)
    most = inside = 0.0
    first = 0
    for at, weight in ordered:
        inside += weight
        while at - ordered[first][0] >= window_s:
            inside -= ordered[first][1]
            first += 1
        most = max(most, inside)
    return most
