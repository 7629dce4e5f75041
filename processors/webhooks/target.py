"""Reads the URL of a webhook: where it leads, before anything is resolved, or why it leads nowhere.

The reading is strict, so that no two readers of a URL can differ about its host: printable ASCII, no backslash, no userinfo, and
a host that is a name or a plain address. A host that ends in a number is an IPv4 address to some readers (WHATWG URL, "ends in
a number checker") and a name to others: it is taken in its usual form alone.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

MAX_URL_CHARS = 2_048
_PRINTABLE = re.compile(r"[!-~]+")
_NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.?")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that may be called if its host's addresses may. `local`: over plain HTTP, and to loopback addresses alone."""

    url: str
    host: str
    port: int
    local: bool = False


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a URL is not called, in words for its owner."""

    reason: str


def target_of(url: str, *, ports: frozenset[int] = frozenset({443}), insecure_local: bool = False) -> Target | Unusable:
    """Where a webhook's URL leads. `ports` are those allowed over https; `insecure_local` allows http to loopback, on any port.

    >>> target_of("https://example.org/hook").port
    443
    >>> target_of("https://me@example.org/").reason
    'the URL must hold no user name or password'
    """
    if not 0 < len(url) <= MAX_URL_CHARS or not _PRINTABLE.fullmatch(url) or "\\" in url:
        return Unusable(f"the URL must have 1 to {MAX_URL_CHARS:,} printable ASCII characters and no backslash")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return Unusable("the URL cannot be read: its host or port is none")
    local = insecure_local and parts.scheme == "http"
    chosen = (80 if local else 443) if port is None else port
    wrong = (
        (parts.scheme != "https" and not local, "the URL must begin with https://"),
        ("@" in parts.netloc, "the URL must hold no user name or password"),
        (not _is_host(host), "the URL's host must be a name in ASCII, or an IP address in its usual form"),
        (not local and chosen not in ports, f"the port {chosen} is not allowed: use {', '.join(map(str, sorted(ports)))}"),
    )
    for holds, reason in wrong:
        if holds:
            return Unusable(reason)
    return Target(url.partition("#")[0], host, chosen, local)


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            return "%" not in host and IPv6Address(host) is not None
        except ValueError:
            return False
    if not _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        return _NAME.fullmatch(host) is not None
    try:
        return ip_address(host).version == 4
    except ValueError:
        return False
