"""The seam to whatever knows which requests hold what must not go everywhere."""

from collections.abc import Callable, Iterable

from schemas.requests import InferenceRequest

Sensitivity = Callable[[InferenceRequest], Iterable[str]]
"""Labels a request, such as `pii` or `health`. Pure: the same request always gets the same labels."""


def nothing(_: InferenceRequest) -> tuple[str, ...]:
    """No label for anything: what is used where the operator names no other."""
    return ()
