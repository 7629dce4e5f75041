"""Which IP addresses a webhook may reach: those of the public Internet, and nothing that a stranger cannot reach by himself.

Sources: IANA's registries of special-purpose IPv4 and IPv6 addresses. Of IPv6 all but global unicast (2000::/3) is refused, and
with it every form that carries an IPv4 address inside: mapped, compatible, NAT64, 6to4 and Teredo.
"""

from ipaddress import IPv4Network, IPv6Network, ip_address

_V4 = tuple(
    (IPv4Network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "of this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a carrier"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "for documentation"),
        ("192.31.196.0/24", "reserved"),
        ("192.52.193.0/24", "reserved"),
        ("192.88.99.0/24", "a relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "reserved"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("168.63.129.16/32", "a cloud's own"),  # Azure's, outside every special range
    )
)
_V6_GLOBAL = IPv6Network("2000::/3")
_V6 = tuple(
    (IPv6Network(network), kind)
    for network, kind in (
        ("::1/128", "loopback"),
        ("::/128", "unspecified"),
        ("::ffff:0:0/96", "an IPv4 address in another form"),
        ("::/96", "an IPv4 address in another form"),
        ("64:ff9b::/96", "translated to IPv4"),
        ("64:ff9b:1::/48", "translated to IPv4"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private"),
        ("ff00::/8", "multicast"),
        ("2001::/23", "reserved"),  # Teredo, ORCHID, benchmarks
        ("2001:db8::/32", "for documentation"),
        ("2002::/16", "an IPv4 address in another form"),
        ("2620:4f:8000::/48", "reserved"),
        ("3fff::/20", "for documentation"),
    )
)


def forbidden(address: str) -> str | None:
    """What keeps an address from being called, in a word or two; None when it may be.

    >>> forbidden("93.184.215.14"), forbidden("169.254.169.254"), forbidden("::ffff:10.0.0.1")
    (None, 'link-local', 'an IPv4 address in another form')
    """
    try:
        found = ip_address(address)
    except ValueError:
        return "no IP address"
    if found.version == 4:
        return next((kind for network, kind in _V4 if found in network), None)
    if "%" in address:
        return "bound to an interface"
    if (kind := next((kind for network, kind in _V6 if found in network), None)) is not None:
        return kind
    return None if found in _V6_GLOBAL else "reserved"


def loopback(address: str) -> bool:
    """Whether it is this machine itself.

    >>> [loopback(a) for a in ("127.0.0.1", "::1", "10.0.0.1", "::ffff:127.0.0.1")]
    [True, True, False, False]
    """
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return found in _LOOPBACK_V4 if found.version == 4 else str(found) == "::1"


_LOOPBACK_V4 = IPv4Network("127.0.0.0/8")
