"""Hosts inside the operator's network that Koschey may connect to, as settings name them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

type Network = IPv4Network | IPv6Network

LABEL = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
NAME = re.compile(rf"{LABEL}(\.{LABEL})*")
PORTS = {"http": 80, "https": 443}


class PrivateHost(NamedTuple):
    """A host as URLs name it; without a port, all of its ports."""

    name: str
    port: int | None = None


@dataclass(frozen=True, slots=True)
class PrivateHosts:
    """A set of hosts, by name or by network."""

    named: frozenset[PrivateHost] = frozenset()
    networks: tuple[Network, ...] = ()

    def with_urls(self, urls: Iterable[str]) -> "PrivateHosts":
        """Return these hosts and those that URLs name, each with the port of its URL alone.

        Another port of the same machine is another server. Only 80 and 443 belong together, because sites redirect
        between them.
        """
        found = set(self.named)
        for url in urls:
            host, port = host_of(url)
            name = normalise(host)
            found |= {PrivateHost(name, each) for each in (PORTS.values() if port in PORTS.values() else (port,))}
        return replace(self, named=frozenset(found))

    def name(self, host: str, port: int | None) -> bool:
        """Return whether these hosts include a host by its name in a URL."""
        found = normalise(host)
        return PrivateHost(found) in self.named or (port is not None and PrivateHost(found, port) in self.named)

    def cover(self, address: str) -> bool:
        """Return whether one of the networks includes an IP address; False for a host name."""
        bare = address.partition("%")[0]
        if not _is_address(bare):
            return False
        ip = ip_address(bare)
        return any(ip in network for network in self.networks if network.version == ip.version)


NO_HOSTS = PrivateHosts()


def host_of(url: str) -> tuple[str, int | None]:
    """Return the host of a URL and its port, by default that of its scheme. The host is empty for an invalid URL."""
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return "", None


def parse_private_hosts(text: str) -> PrivateHosts:
    """Read names, `name:port` and networks (CIDR), separated by commas. Raises `ValueError` for anything else."""
    named, networks = set[PrivateHost](), list[Network]()
    for item in filter(None, (part.strip() for part in text.split(","))):
        found = _parse(item)
        if isinstance(found, PrivateHost):
            named.add(found)
        else:
            networks.append(found)
    return PrivateHosts(frozenset(named), tuple(networks))


def normalise(host: str) -> str:
    """Return a host in the form for comparison: lower case, without a final dot; addresses in their canonical form."""
    bare = host.strip("[]").rstrip(".").lower()
    try:
        return str(ip_address(bare))
    except ValueError:
        return bare


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _parse(item: str) -> PrivateHost | Network:
    try:
        network = ip_network(item)
    except ValueError:
        return _parse_host(item)
    if network.prefixlen == 0:
        raise ValueError(f"{item} covers every address; name the networks that Koschey may connect to")
    return network


def _parse_host(item: str) -> PrivateHost:
    host, port = host_of(f"//{item}")
    host = normalise(host)
    shown = f"[{host}]" if ":" in host else host
    is_whole = normalise(item) == host if port is None else item.lower() == f"{shown}:{port}"
    if not is_whole or not (NAME.fullmatch(host) or _is_address(host)):
        raise ValueError(
            f"{item[:80]!r} is not a host; write a name, name:port, or a network (CIDR) such as 10.1.0.0/16"
        )
    return PrivateHost(host, port)
