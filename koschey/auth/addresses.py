"""Whom a client's address stands for when failures are counted."""

from ipaddress import IPv6Address, ip_address, ip_network

HOSTS_OF_ONE = 64
"""Bits of an IPv6 address that name a network: one customer has at least a /64 (RFC 6177, section 2)."""


def counted_address(address: str | None) -> str:
    """Return an IPv4 address as it is and the /64 network of an IPv6 one; the empty text for a peer without an address.

    A peer has none on a Unix socket. All of those count together.
    """
    try:
        parsed = ip_address((address or "").partition("%")[0])
    except ValueError:
        return ""
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, HOSTS_OF_ONE), strict=False))
