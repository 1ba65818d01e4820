"""Whose request it is: the client's address, where the peer is one of the operator's own proxies.

Written to `scope["client"]` once, in front of everything, so that no handler knows of proxies. What servers bring for
this believes too much: hypercorn's `ProxyFixMiddleware` counts hops and believes whoever connects, granian's and
uvicorn's take any text for an address, and none reads `Forwarded` from the right.

A proxy adds what it saw at the end of `X-Forwarded-For`, or of `Forwarded` (RFC 7239, section 4); all that stands to
the left of it is what somebody claims. So both are read from the right, as far as our proxies wrote them.
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
    """Tells the application behind it who the client is, and not who the proxy is."""

    def __init__(self, application: Any, networks: Sequence[Network], *, behind_socket: bool = False) -> None:
        self._application = application
        self._networks = networks
        self._behind_socket = behind_socket
        """Whether a proxy of ours is at the other end of the unix socket that is listened on."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http":
            # Nobody at a unix socket has an address; servers leave the peer out, or give an empty text.
            peer = (scope.get("client") or ("",))[0]
            is_known = bool(peer) or self._behind_socket
            client = client_address(peer or None, scope["headers"], self._networks) if is_known else None
            if client is not None:
                scope = {**scope, "client": (client, 0)}
        await self._application(scope, receive, send)


def client_address(peer: str | None, headers: Sequence[tuple[bytes, bytes]], networks: Sequence[Network]) -> str | None:
    """Return the address of the client that our proxies report; None where it has to be the peer's.

    A peer without an address is a proxy of ours at the other end of a unix socket.

    That is so where the peer is no proxy of ours, where what a proxy wrote is no address, and where both headers are
    there and disagree: a proxy hands the one that it does not write through, as the client made it up.
    """
    if peer is not None and ((proxy := _parse_node(peer)) is None or not _is_ours(proxy, networks)):
        return None
    found = {
        _first_other(elements, parse, networks)
        for name, parse in ((b"x-forwarded-for", _parse_node), (b"forwarded", _parse_element))
        if (elements := _elements(headers, name))
    }
    client = found.pop() if len(found) == 1 else None
    return str(client) if client is not None else None


def _elements(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> list[str]:
    """Return the elements of a header from the right; where it stands several times, the last line comes first."""
    value = ",".join(value.decode("latin-1") for key, value in headers if key.lower() == name)
    return value.split(",")[::-1] if value.strip() else []


def _first_other(
    elements: Sequence[str], parse: Callable[[str], Address | None], networks: Sequence[Network]
) -> Address | None:
    """Return the first address that is no proxy's, or the last of all; None where something else is met before."""
    address = None
    for element in elements:
        address = parse(element)
        if address is None or not _is_ours(address, networks):
            break
    return address


def _is_ours(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _parse_element(text: str) -> Address | None:
    """Return the address that an element of `Forwarded` names. A comma in quotes is not understood, and so no address.

    Whoever split at commas in quotes from the left could be led past what our proxy added by a quote left open.
    """
    found: list[str] = []
    for part in text.split(";"):
        if (pair := PAIR.fullmatch(part)) is None:
            return None
        if pair[1].lower() == "for":
            found.append(pair[2] if pair[2] is not None else pair[3])
    return _parse_node(found[0]) if len(found) == 1 else None


def _parse_node(text: str) -> Address | None:
    """Return the address in `192.0.2.1:80`, `[2001:db8::1]:80`, or without a port; None for `unknown` and the like."""
    node = NODE.fullmatch(text.strip())
    if node is None:
        return None
    try:
        address = ip_address(node["six"] or node["four"] or node["bare"])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
