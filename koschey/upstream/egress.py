"""The only module that opens client sockets to the outside, and the rules for their destinations.

1. Only https, except to hosts inside the operator's network that the settings name.
2. This module resolves names. It refuses addresses inside the network, except those of these hosts, and connects to
   the address that it has checked.
3. Redirects are followed by hand, at most ten, with every rule applied to each, and never from https to http.
4. Nothing secret is sent; no cookie is kept.
"""

import ipaddress
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urljoin

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from koschey import __version__
from koschey.errors import EgressRefused, UpstreamMalformed, UpstreamUnavailable
from koschey.settings.private_hosts import NO_HOSTS, PrivateHosts

MAX_REDIRECTS = 10
REDIRECTS = frozenset({301, 302, 303, 307, 308})

REMEDY = "list it in KOSCHEY_PRIVATE_HOSTS to allow that"
"""The remedy in the message for a refused host inside the network."""

TIMEOUT = aiohttp.ClientTimeout(total=None, connect=10, sock_connect=5, sock_read=20)
"""In seconds. A large file may take hours; a silence may last `sock_read`."""

# The special-purpose registries of IANA, less the blocks that exist for documentation: those lead nowhere.
# The list also has what IPv6 gave up: two ways to write an IPv4 address, tunnels like Teredo, and site-local addresses.
INSIDE = tuple(
    ipaddress.ip_network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",
        "::ffff:0:0:0/96",
        "64:ff9b:1::/48",
        "2001::/23",
        "100::/64",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def leads_inside(address: str) -> bool:
    """Return whether an IP address lies in the operator's own network, or embeds an address that does."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        hidden = ip.ipv4_mapped or ip.sixtofour
        if ip in NAT64:
            hidden = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = hidden or ip
    return any(ip in block for block in INSIDE)


class CheckedResolver(AbstractResolver):
    """Resolves names for the connector, and refuses a name if any of its addresses lies inside the network.

    The connector connects to exactly these addresses, so a name cannot resolve to another one in between.
    """

    def __init__(self, allowed: PrivateHosts = NO_HOSTS, remedy: str = REMEDY) -> None:
        self._allowed = allowed
        self._remedy = remedy
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the checked addresses. Raises `EgressRefused`."""
        found = await self._resolver.resolve(host, port, family)
        inside = [result["host"] for result in found if leads_inside(result["host"])]
        if not self._allowed.name(host, port) and not all(map(self._allowed.cover, inside)):
            raise EgressRefused(f"{host}:{port} lies inside your network; {self._remedy}")
        return found

    async def close(self) -> None:
        """Close nothing: the resolver keeps no connection."""


class Egress:
    """Outgoing HTTP under the rules of this module."""

    def __init__(self, allowed: PrivateHosts = NO_HOSTS, *, remedy: str = REMEDY, connections: int = 32) -> None:
        """Open at most `connections` connections to one host, and at most three times as many in total."""
        self._allowed = allowed
        self._remedy = remedy
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=CheckedResolver(allowed, remedy),
                limit=3 * connections,
                limit_per_host=connections,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"koschey/{__version__}"},
            timeout=TIMEOUT,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    @asynccontextmanager
    async def get(
        self, url: str, headers: dict[str, str], *, raw: bool = False
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """GET a URL and follow redirects. The answer's `url` is that of the last request.

        With `raw` the body stays in the content codings that the answer names, and the caller decodes it. Raises
        `EgressRefused` for a forbidden address, `UpstreamUnavailable` if no answer came or it broke off, and
        `UpstreamMalformed` for too many redirects or an answer that is not HTTP.
        """
        with translated(url):
            response = await self._follow(url, headers, raw=raw)
        async with response:
            yield response

    @asynccontextmanager
    async def send(
        self, method: str, url: str, headers: dict[str, str], body: bytes = b""
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send exactly one request, and return a redirect like any other answer.

        The request has `Accept` and `Accept-Encoding` only if `headers` has them. Raises as `get` does.
        """
        with translated(url):
            address = _parse(url)
            self._check(address)
            response = await self._session.request(
                method,
                address,
                headers=headers,
                data=body or None,
                allow_redirects=False,
                skip_auto_headers=("Accept", "Accept-Encoding"),
            )
        async with response:
            yield response

    async def _follow(self, url: str, headers: dict[str, str], *, raw: bool = False) -> aiohttp.ClientResponse:
        for _ in range(MAX_REDIRECTS + 1):
            # Parsed once, by aiohttp's own parser, so that the client connects to the address that was checked.
            address = _parse(url)
            self._check(address)
            response = await self._session.get(address, headers=headers, allow_redirects=False, auto_decompress=not raw)
            location = response.headers.get("Location")
            if response.status not in REDIRECTS or not location:
                return response
            response.release()
            target = _join(url, location)
            if address.scheme == "https" and _parse(target).scheme != "https":
                raise EgressRefused(f"{url} redirects from https to {target}")
            url = target
        raise UpstreamMalformed(f"{url} lies behind more than {MAX_REDIRECTS} redirects")

    def _check(self, url: URL) -> None:
        host = url.raw_host or ""
        is_listed = self._allowed.name(host, url.port) or self._allowed.cover(host)
        if url.scheme != "https" and not (is_listed and url.scheme == "http"):
            raise EgressRefused(f"{url.scheme}://{host} is not https")
        if url.user or url.password or not host:
            raise EgressRefused(f"the address of {host} contains credentials, or has no host")
        try:
            inside = leads_inside(host)
        except ValueError:
            if not any(letter.isalpha() for letter in host):
                # `127.1` and the like: no name to resolve, but an address to the system.
                raise EgressRefused(f"{host} is neither a host name nor an address in its usual form") from None
            return  # a name: the resolver checks its addresses
        if inside and not is_listed:
            raise EgressRefused(f"{host}:{url.port} lies inside your network; {self._remedy}")


def _parse(url: str) -> URL:
    try:
        return URL(url)
    except ValueError as error:
        raise UpstreamMalformed(f"{url!r} is not an address: {error}") from None


def _join(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise UpstreamMalformed(f"{url} redirects to {location!r}, which is not an address: {error}") from None


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn aiohttp's errors about `url` into Koschey's own."""
    try:
        yield
    except (aiohttp.InvalidURL, aiohttp.ClientResponseError) as error:
        raise UpstreamMalformed(f"{url} did not answer with valid HTTP: {error}") from error
    except (aiohttp.ClientError, OSError) as error:
        if refused := _refusal(error):
            raise refused from None
        raise UpstreamUnavailable(f"{url} could not be read: {str(error) or type(error).__name__}") from error


async def read_chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield a body as it arrives. Raises as `Egress.get` does; an incomplete body is `UpstreamUnavailable`."""
    chunks = response.content.iter_any()
    while True:
        with translated(str(response.url)):
            chunk = await anext(chunks, None)
        if chunk is None:
            return
        yield chunk


def _refusal(error: BaseException | None) -> EgressRefused | None:
    """Find a refusal by the resolver among the causes of a connector's error."""
    while error is not None:
        if isinstance(error, EgressRefused):
            return error
        error = error.__cause__ or error.__context__
    return None
