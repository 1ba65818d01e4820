"""Reads names and addresses of hosts from settings and requests, and writes them in URLs (RFC 3986, section 3.2.2)."""

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from typing import NamedTuple

UNIX = "unix:"
"""Prefix of the path of a unix socket, in place of a host."""

# A literal IPv6 address, or a name as in DNS and container networks; then an optional port.
HOST = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9_][A-Za-z0-9._-]{0,254}))(?::(?P<port>[0-9]{0,5}))?"
)


class Host(NamedTuple):
    """A host in a form that can be compared."""

    name: str
    """In lower case, without brackets and without a final dot."""
    port: int | None
    """None if the text names no port."""


@lru_cache(maxsize=1024)
def parse_host(text: str) -> Host | None:
    """Return the host of `name`, `name:port`, `192.0.2.1:80` or `[2001:db8::1]:80`; None if the text is not a host."""
    found = HOST.fullmatch(text)
    if found is None:
        return None
    port = int(found["port"]) if found["port"] else None
    if found["six"] is None:
        return Host(found["name"].lower().removesuffix("."), port)
    try:
        return Host(str(IPv6Address(found["six"])), port)
    except ValueError:
        return None


def parse_hosts(texts: str) -> frozenset[Host]:
    """Return the hosts of the setting KOSCHEY_HOSTS, separated by commas. Raises `ValueError` if one is not a host."""
    found = set()
    for text in filter(None, map(str.strip, texts.split(","))):
        host = parse_host(in_url(text) if text.count(":") > 1 else text)
        if host is None:
            raise ValueError(
                f"KOSCHEY_HOSTS: {text[:80]!r} is not a host; write names or addresses, perhaps with a port"
            )
        found.add(host)
    return frozenset(found)


def in_url(host: str) -> str:
    """Return a host as it is written in a URL: an IPv6 address is in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def listening_host(text: str) -> str:
    """Return an address to listen on: a host without brackets and port, or `unix:` and an absolute path.

    Raises `ValueError` for anything else.
    """
    if (path := socket_path(text)) is not None:
        if not path.is_absolute() or "\0" in text:
            raise ValueError(
                "a unix socket is named by 'unix:' and an absolute path, such as unix:/run/koschey/web.sock"
            )
        return text
    host = parse_host(text if text.startswith("[") else in_url(text))
    if host is None or host.port is not None:
        raise ValueError(
            f"{text[:80]!r} is not an address to listen on; the port is a setting of its own, KOSCHEY_PORT"
        )
    return host.name


def socket_path(host: str) -> Path | None:
    """Return the path of the unix socket that `unix:/path` names; None for every other host."""
    return Path(host.removeprefix(UNIX)) if host.startswith(UNIX) else None


def parse_proxies(text: str) -> IPv4Network | IPv6Network:
    """Read a network of the operator's proxies. Raises `ValueError` if it is not a network, or has all addresses."""
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(
            f"KOSCHEY_TRUSTED_PROXIES: {text[:80]!r} is not a network; write addresses, or CIDR such as 10.0.0.0/8"
        ) from None
    if network.prefixlen == 0:
        raise ValueError(
            f"KOSCHEY_TRUSTED_PROXIES: {text} covers every address; name only the networks of your proxies"
        )
    return network
