"""Finds the client's address if the peer is one of the operator's own proxies.

This layer writes the address to `scope["client"]` once, in front of all others, so that no handler needs to know about
proxies. The layers that servers provide trust too much: hypercorn's `ProxyFixMiddleware` counts hops and trusts any
peer, those of granian and uvicorn accept any text as an address, and none reads `Forwarded` from the right.

A proxy adds the address that it saw at the end of `X-Forwarded-For`, or of `Forwarded` (RFC 7239, section 4). Anybody
may have written the addresses to the left of it. So Koschey reads both headers from the right, as far as our proxies
wrote them.
"""

import re
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from koschey.settings.private_hosts import Network

type Address = IPv4Address | IPv6Address

# RFC 7239, section 4: pairs of a token and a token or a quoted string. nginx writes ports and IPv6 without quotes.
PAIR = re.compile(r'\s*([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s";]+))\s*')
# RFC 7239, section 6: IPv6 is in brackets when a port follows; the port may be any short name.
NODE = re.compile(r"\[(?P<six>[0-9A-Fa-f:.]+)\](?::[\w.-]+)?|(?P<four>[0-9.]+)(?::[\w.-]+)?|(?P<bare>[0-9A-Fa-f:.]+)")


class BehindProxies:
    """Gives the application behind it the address of the client instead of that of the proxy."""

    def __init__(self, application: Any, networks: Sequence[Network], *, behind_socket: bool = False) -> None:
        self._application = application
        self._networks = networks
        self._behind_socket = behind_socket
        """Whether the peer at the unix socket on which the server listens is one of our proxies."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http":
            # The peer at a unix socket has no address; servers omit the peer, or give an empty text.
            peer = (scope.get("client") or ("",))[0]
            is_known = bool(peer) or self._behind_socket
            client = client_address(peer or None, scope["headers"], self._networks) if is_known else None
            if client is not None:
                scope = {**scope, "client": (client, 0)}
        await self._application(scope, receive, send)


def client_address(peer: str | None, headers: Sequence[tuple[bytes, bytes]], networks: Sequence[Network]) -> str | None:
    """Return the address of the client that our proxies report, or None if the peer's address must be used.

    A peer without an address is one of our proxies at a unix socket. The result is None if the peer is not one of our
    proxies, if a proxy wrote something other than an address, or if the request has both headers and they disagree: a
    proxy passes on the header that it does not write, and the client may have forged that one.
    """
    if peer is not None and ((proxy := _parse_node(peer)) is None or not _is_own_proxy(proxy, networks)):
        return None
    found = {
        _first_other(elements, parse, networks)
        for name, parse in ((b"x-forwarded-for", _parse_node), (b"forwarded", _parse_element))
        if (elements := _elements(headers, name))
    }
    client = found.pop() if len(found) == 1 else None
    return str(client) if client is not None else None


def _elements(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> list[str]:
    """Return the elements of a header from the right; if it is repeated, the last line comes first."""
    value = ",".join(value.decode("latin-1") for key, value in headers if key.lower() == name)
    return value.split(",")[::-1] if value.strip() else []


def _first_other(
    elements: Sequence[str], parse: Callable[[str], Address | None], networks: Sequence[Network]
) -> Address | None:
    """Return the first address that is not a proxy's, else the last one; None if an earlier element is no address."""
    address = None
    for element in elements:
        address = parse(element)
        if address is None or not _is_own_proxy(address, networks):
            break
    return address


def _is_own_proxy(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _parse_element(text: str) -> Address | None:
    """Return the address that an element of `Forwarded` names; an element with a comma in quotes has none.

    A parser that respected commas in quotes from the left could be led past our proxy's element by an unclosed quote.
    """
    found: list[str] = []
    for part in text.split(";"):
        if (pair := PAIR.fullmatch(part)) is None:
            return None
        if pair[1].lower() == "for":
            found.append(pair[2] if pair[2] is not None else pair[3])
    return _parse_node(found[0]) if len(found) == 1 else None


def _parse_node(text: str) -> Address | None:
    """Return the address in `192.0.2.1:80`, `[2001:db8::1]:80`, or without a port; None for `unknown` and others."""
    node = NODE.fullmatch(text.strip())
    if node is None:
        return None
    try:
        address = ip_address(node["six"] or node["four"] or node["bare"])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
