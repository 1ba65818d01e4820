"""The address or network to which a client's failed logins are counted."""

from ipaddress import IPv6Address, ip_address, ip_network

HOSTS_OF_ONE = 64
"""Bits of an IPv6 address that name a network: one customer has at least a /64 (RFC 6177, section 2)."""


def counted_address(address: str | None) -> str:
    """Return an IPv4 address unchanged, the /64 network of an IPv6 address, or the empty text if there is no address.

    A peer on a Unix socket has no address. All such peers count together.
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
