"""Spreads requests without a counter: by a stable hash, so that every process and every replay decides alike."""

import hashlib
from math import log

from schemas.policies import Sticky
from schemas.requests import InferenceRequest


def key_of(request: InferenceRequest, sticky: Sticky) -> str:
    """What stays together. Without a user the session stands for it, without a session the request."""
    alone = f"request/{request.request_id}"
    session = f"session/{request.session}" if request.session else alone
    match sticky:
        case Sticky.TENANT:
            kept = "tenant"
        case Sticky.USER:
            kept = f"user/{request.user}" if request.user else session
        case Sticky.SESSION:
            kept = session
        case Sticky.REQUEST:
            kept = alone
    return f"{request.tenant}/{kept}"


def share(key: str, name: str, weight: float = 1.0) -> float:
    """A number from 0 to 1, the highest of which wins: each name wins in proportion to its weight.

    Weighted rendezvous hashing: with u uniform in (0, 1), -ln(u) / weight is exponential with that rate, and the smallest of
    several such times is each one's with probability weight / sum of weights. When a name goes, only its keys move.

    >>> wins = [share(str(i), "a", 3.0) > share(str(i), "b") for i in range(1000)]
    >>> 700 < sum(wins) < 800
    True
    """
    # 1 / (1 + time) keeps the order of times and stays between 0 and 1.
    return 1.0 / (1.0 - log(uniform(f"{key}\0{name}")) / weight)


def uniform(key: str) -> float:
    """A number between 0 and 1, exclusive, that depends on the key alone."""
    digest = hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=8).digest()
    return ((int.from_bytes(digest) >> 12) + 0.5) / 2**52
