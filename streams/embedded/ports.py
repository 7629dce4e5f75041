"""TCP ports on the loopback interface."""

import random
import socket

LOOPBACK = "127.0.0.1"
# Below what Linux (32768) and macOS (49152) hand to outgoing connections, which could else take a port chosen here.
_FIRST, _LAST = 20_000, 32_000
_TRIES = 200
_RANDOM = random.SystemRandom()  # two test sessions with the same seed must not choose alike


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    with socket.socket() as probe:  # a listener on 0.0.0.0 may share the port with a bind to the loopback address
        probe.settimeout(0.5)
        return probe.connect_ex((LOOPBACK, port)) != 0


def free_port() -> int:
    """A port that is free now. Nothing holds it until its server listens: who loses that race tries another one."""
    for _ in range(_TRIES):
        port = _RANDOM.randrange(_FIRST, _LAST)
        if is_free(port):
            return port
    raise OSError(f"no free port found between {_FIRST} and {_LAST}")
