"""Which network addresses a tool may reach: public unicast ones, and no others.

IPv6 is an allowlist: 2000::/3 without the blocks that carry other addresses inside them or lead nowhere. Everything
that smuggles an IPv4 address (::ffff:0:0/96, ::/96, 64:ff9b::/96, 64:ff9b:1::/48, 2002::/16, Teredo) is outside of it.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

# IANA's special-purpose registries, and multicast.
_V4_REFUSED = [
    ip_network(block)
    for block in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
    )
]  # fmt: skip
_V6_ALLOWED = ip_network("2000::/3")
_V6_REFUSED = [ip_network(block) for block in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
_NUMBER = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)\Z")


def is_public(address: str) -> bool:
    """Return whether this numeric address is a public unicast one. False for what is no address.

    >>> is_public("9.9.9.9"), is_public("::ffff:9.9.9.9"), is_public("100.64.0.1"), is_public("localhost")
    (True, False, False, False)
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, IPv4Address):
        return ip.is_global and not any(ip in block for block in _V4_REFUSED)
    return ip in _V6_ALLOWED and not any(ip in block for block in _V6_REFUSED)


def odd_number(host: str) -> bool:
    """Return whether a host is a number in a form that resolvers read as an IPv4 address but people do not.

    >>> odd_number("2130706433"), odd_number("0x7f.1"), odd_number("127.0.0.1"), odd_number("example.org")
    (True, True, False, False)
    """
    last = host.rstrip(".").rpartition(".")[2]
    if not _NUMBER.match(last):
        return False
    try:
        return str(ip_address(host)) != host
    except ValueError:
        return True


def is_address(host: str) -> bool:
    """Return whether a host is a numeric address rather than a name."""
    try:
        return isinstance(ip_address(host.partition("%")[0]), IPv4Address | IPv6Address)
    except ValueError:
        return False
