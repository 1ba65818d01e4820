"""Names and addresses of hosts: read out of settings and requests, and written into URLs (RFC 3986, section 3.2.2)."""

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from typing import NamedTuple

UNIX = "unix:"
"""What stands before the path of a unix socket, in the place of a host."""

# A registered name as DNS and container networks have it; a literal address; then perhaps a port.
HOST = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9_][A-Za-z0-9._-]{0,254}))(?::(?P<port>[0-9]{0,5}))?"
)


class Host(NamedTuple):
    """A host in the form in which two of them can be compared."""

    name: str
    """In small letters, without brackets and without a dot at its end."""
    port: int | None
    """None where none is named."""


@lru_cache(maxsize=1024)
def parse_host(text: str) -> Host | None:
    """Return the host of `name`, `name:port`, `192.0.2.1:80` or `[2001:db8::1]:80`; None where the text is no host."""
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
    """Return the hosts of the setting KOSCHEY_HOSTS, with commas between them. Raises `ValueError`."""
    found = set()
    for text in filter(None, map(str.strip, texts.split(","))):
        host = parse_host(in_url(text) if text.count(":") > 1 else text)
        if host is None:
            raise ValueError(f"KOSCHEY_HOSTS: {text[:80]!r} is no host; write names or addresses, perhaps with a port")
        found.add(host)
    return frozenset(found)


def in_url(host: str) -> str:
    """Return a host as it stands in a URL: an IPv6 address is in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def listening_host(text: str) -> str:
    """Return what names something to listen on: a host without brackets and port, or `unix:` and an absolute path.

    Raises `ValueError` for everything else.
    """
    if (path := socket_path(text)) is not None:
        if not path.is_absolute() or "\0" in text:
            raise ValueError(
                "a unix socket is named by 'unix:' and an absolute path, such as unix:/run/koschey/web.sock"
            )
        return text
    host = parse_host(text if text.startswith("[") else in_url(text))
    if host is None or host.port is not None:
        raise ValueError(f"{text[:80]!r} is no address to listen on; the port is a setting of its own, KOSCHEY_PORT")
    return host.name


def socket_path(host: str) -> Path | None:
    """Return the path of the unix socket that `unix:/path` names; None for every other host."""
    return Path(host.removeprefix(UNIX)) if host.startswith(UNIX) else None


def parse_proxies(text: str) -> IPv4Network | IPv6Network:
    """Read a network of the operator's own proxies. Raises `ValueError` where it is none, or everybody."""
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(
            f"KOSCHEY_TRUSTED_PROXIES: {text[:80]!r} is no network; write addresses, or CIDR such as 10.0.0.0/8"
        ) from None
    if network.prefixlen == 0:
        raise ValueError(f"KOSCHEY_TRUSTED_PROXIES: {text} is everybody; name the networks of your proxies alone")
    return network
