"""Where Koschey's own requests may go: addresses, names, redirects, and what comes back."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
import pytest
import pytest_asyncio
from aiohttp.abc import ResolveResult
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from koschey.errors import EgressRefused, KoscheyError, UpstreamMalformed, UpstreamMissing, UpstreamUnavailable
from koschey.settings.private_hosts import NO_HOSTS, PrivateHosts, parse_private_hosts
from koschey.upstream.client import UpstreamClient
from koschey.upstream.egress import MAX_REDIRECTS, CheckedResolver, Egress, leads_inside, read_chunks
from tests.support.upstream.server import Upstream

LISTED = parse_private_hosts("127.0.0.1")
INSIDE = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("169.254.169.254", "169.254.170.2", "100.64.0.1", "100.127.255.255", "100.100.100.200", "192.0.0.192"),
    *("198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    # loopback, unspecified, link-local with and without a zone, unique local, site-local, multicast, discard-only
    *("::1", "0:0:0:0:0:0:0:1", "::", "fe80::1", "fe80::1%lo", "fe80::1%25eth0", "febf::1", "fc00::1", "fd00:ec2::254"),
    *("fec0::1", "ff02::1", "100::1"),
    # IPv4 in IPv6: mapped, compatible, translated, NAT64 (well-known and local), 6to4, Teredo
    *("::ffff:127.0.0.1", "::ffff:7f00:1", "::FFFF:10.0.0.1", "::ffff:169.254.169.254", "0:0:0:0:0:ffff:c0a8:101"),
    *("::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254"),
    *("64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a00:1::1", "2002:c0a8:101::1", "2001:0:7f00:1::1"),
]
OUTSIDE = [
    *("8.8.8.8", "1.1.1.1", "11.0.0.1", "126.255.255.255", "128.0.0.1", "172.15.0.1", "172.32.0.1", "192.167.1.1"),
    *("100.63.255.255", "100.128.0.1", "169.253.0.1", "223.255.255.255", "198.20.0.1", "192.0.1.1"),
    *("2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"),
]


@pytest.mark.parametrize("address", INSIDE)
def test_inside(address: str) -> None:
    """Every way to write an address of one's own network is seen through."""
    assert leads_inside(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_outside(address: str) -> None:
    """Addresses of the world are allowed, up to the very edge of what is not."""
    assert not leads_inside(address)


def test_no_address() -> None:
    """What is no address is not judged here: it is a name, and judged by what it stands for."""
    with pytest.raises(ValueError, match="does not appear to be"):
        leads_inside("localhost")


EXEMPT = [
    ipaddress.ip_network(block)
    for block in (
        # Documentation's blocks lead nowhere, and 6to4 leads where the IPv4 address in it leads.
        *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20", "2002::/16"),
    )
]


@given(st.ip_addresses())
@example(ipaddress.ip_address("2001:2::1"))
@example(ipaddress.ip_address("192.0.0.170"))
def test_what_is_not_of_the_world_is_inside(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """No address that Python knows as not global is taken for one of the world's."""
    if not address.is_global and not any(address in block for block in EXEMPT):
        assert leads_inside(str(address))


# Real sockets


class Trap:
    """A server on loopback that counts who connects."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    def _count(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()

    @classmethod
    @asynccontextmanager
    async def set_up(cls) -> AsyncIterator[Self]:
        trap = cls()
        server = await asyncio.start_server(trap._count, "127.0.0.1", 0)
        trap.port = server.sockets[0].getsockname()[1]
        async with server:
            yield trap
            await asyncio.sleep(0)


@pytest_asyncio.fixture
async def public() -> AsyncIterator[Egress]:
    """As it is by default: the world, and nothing else."""
    egress = Egress()
    yield egress
    await egress.close()


@pytest_asyncio.fixture
async def private() -> AsyncIterator[Egress]:
    """As it is where the operator lists this machine."""
    egress = Egress(LISTED)
    yield egress
    await egress.close()


async def get(egress: Egress, url: str) -> tuple[int, str, bytes]:
    async with egress.get(url, {}) as response:
        body = b"".join([chunk async for chunk in read_chunks(response)])
        return response.status, str(response.url), body


LOOPBACK_HOSTS = [
    *("127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "2130706433", "0177.0.0.1", "127.000.000.001", "0", "0.0.0.0"),
    *("0x7f000001", "0x7f.1", "0x7f.0.0.1", "localhost", "LOCALHOST", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::ffff:0:127.0.0.1]", "[64:ff9b::7f00:1]"),
    *("[fe80::1%lo]", "[fe80::1%25lo]"),
    # What becomes an address only when the host is normalised for the wire.
    *("１２７.０.０.１", "①②⑦.0.0.1", "127。0。0。1", "127．0．0．1", "ⓛocalhost"),  # noqa: RUF001
]


@pytest.mark.parametrize("host", LOOPBACK_HOSTS)
async def test_no_spelling_of_loopback_is_connected_to(public: Egress, host: str) -> None:
    """However loopback is written, the request is refused and no socket is opened."""
    async with Trap.set_up() as trap:
        with pytest.raises(EgressRefused):
            await get(public, f"https://{host}:{trap.port}/simple/")
        assert trap.connections == 0


@pytest.mark.parametrize(
    "host",
    ["files.example.org@127.0.0.1", "127.0.0.1\\@files.example.org", "a:b@127.0.0.1", "%31%32%37.0.0.1"],
)
async def test_no_trick_leads_to_loopback(public: Egress, host: str) -> None:
    """Where parsers could disagree on what is the host, no socket is opened to loopback either."""
    async with Trap.set_up() as trap:
        with pytest.raises(KoscheyError):
            await get(public, f"https://{host}:{trap.port}/simple/")
        assert trap.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "ftp://files.example.org/",
        "file:///etc/passwd",
        "gopher://files.example.org/",
        "unix:///run/docker.sock",
        "//files.example.org/",
        "files.example.org/",
        "/simple/",
        "",
        "https:///simple/",
        "https://ada:secret@files.example.org/",
        "https://ada@files.example.org/",
        "https://:secret@files.example.org/",
    ],
)
@pytest.mark.parametrize("allowed", [NO_HOSTS, LISTED])
async def test_forbidden_addresses(url: str, allowed: PrivateHosts) -> None:
    """Only https is spoken, never with credentials, and no message repeats a password."""
    egress = Egress(allowed)
    with pytest.raises(EgressRefused) as refused:
        await get(egress, url)
    assert "secret" not in str(refused.value)
    await egress.close()


@pytest.mark.parametrize("host", ["files.example.org", "127.0.0.1", "93.184.216.34"])
async def test_plain_http_is_refused(public: Egress, host: str) -> None:
    """With a host that the operator does not list, http is not spoken."""
    with pytest.raises(EgressRefused, match="is not https"):
        await get(public, f"http://{host}/")


@pytest.mark.parametrize("url", ["https://[::1/", "https://files.example.org:99999/", "https://files.example.org:x/"])
async def test_what_is_no_address_is_malformed(public: Egress, url: str) -> None:
    """An address that nobody can parse is the upstream's fault, and no crash."""
    with pytest.raises(UpstreamMalformed):
        await get(public, url)


async def test_private_upstreams_can_be_allowed(private: Egress, upstream: Upstream) -> None:
    """Where the operator says so, plain http on loopback is read."""
    upstream.fault("/here", body=b"egg", times=1)
    assert await get(private, f"{upstream.root}/here") == (200, f"{upstream.root}/here", b"egg")


# Names


@dataclass
class Zone:
    """A resolver that answers from a list, each answer once and the last for ever."""

    answers: list[list[str]]
    asked: int = 0
    seen: list[str] = field(default_factory=list)

    async def resolve(self, host: str, port: int = 0, _family: int = 0) -> list[ResolveResult]:
        self.seen.append(host)
        if not self.answers:
            raise OSError(None, "DNS lookup failed")
        addresses = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing to close."""


def under(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> Zone:
    zone = Zone(list(answers))
    monkeypatch.setattr(aiohttp, "ThreadedResolver", lambda: zone)
    return zone


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["fd00::1", "2606:4700::1"], ["::ffff:10.0.0.1"], ["fe80::1%eth0"]],
)
async def test_names_with_any_address_inside_are_refused(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
    """One address inside is enough: the connector might choose just that one."""
    under(monkeypatch, addresses)
    egress = Egress()
    async with Trap.set_up() as trap:
        with pytest.raises(EgressRefused, match=rf"files\.example\.org:{trap.port} lies inside.*KOSCHEY_PRIVATE_HOSTS"):
            await get(egress, f"https://files.example.org:{trap.port}/")
        assert trap.connections == 0
    await egress.close()


async def test_names_are_resolved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was checked is what is connected to: a name that changes its mind is asked only once a connection."""
    zone = under(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
    resolver = CheckedResolver()
    found = await resolver.resolve("files.example.org", 443)
    assert [result["host"] for result in found] == ["93.184.216.34"]
    assert zone.asked == 1
    with pytest.raises(EgressRefused):
        await resolver.resolve("files.example.org", 443)


async def test_private_names_can_be_allowed(monkeypatch: pytest.MonkeyPatch, upstream: Upstream) -> None:
    """A name that the operator lists may stand for addresses inside, with the port that is listed."""
    zone = under(monkeypatch, ["127.0.0.1"])
    upstream.fault("/here", body=b"egg", times=1)
    port = upstream.root.rpartition(":")[2]
    egress = Egress(parse_private_hosts(f"index.example.org:{port}"))
    assert (await get(egress, f"http://index.example.org:{port}/here"))[2] == b"egg"
    assert zone.seen == ["index.example.org"]
    await egress.close()


# A private upstream


@pytest_asyncio.fixture
async def own(upstream: Upstream) -> AsyncIterator[Egress]:
    """As it is under `--allow-private-upstream`: the upstream's own host and port, and nothing else inside."""
    egress = Egress(NO_HOSTS.with_urls([upstream.url]))
    yield egress
    await egress.close()


ELSEWHERE = [
    *("http://127.0.0.1:{port}/x.whl", "https://127.0.0.1:{port}/x.whl", "http://localhost:{port}/x.whl"),
    *("http://[::1]:{port}/x.whl", "http://[::ffff:127.0.0.1]:{port}/x.whl", "http://127.0.0.2:{port}/x.whl"),
    *("http://127.1:{port}/x.whl", "http://2130706433:{port}/x.whl", "http://0.0.0.0:{port}/x.whl"),
    *("http://127.0.0.1.:{port}/x.whl", "http://0x7f.1:{port}/x.whl", "http://[64:ff9b::7f00:1]:{port}/x.whl"),
    *("http://169.254.169.254/latest/meta-data/", "https://169.254.169.254/latest/", "http://10.0.0.1/x.whl"),
    *("https://192.168.0.1/x.whl", "https://[fd00:ec2::254]/x.whl", "http://files.example.org/x.whl"),
    *("http://ada@127.0.0.1:{port}/x.whl", "file:///etc/passwd", "gopher://127.0.0.1:{port}/"),
]


@pytest.mark.parametrize("url", ELSEWHERE)
async def test_page_of_a_private_upstream_points_nowhere_else_inside(own: Egress, upstream: Upstream, url: str) -> None:
    """Case B5: files, metadata, records, provenance and redirects are fetched from its own host alone; sockets: 0."""
    reader = client(own, upstream)
    async with Trap.set_up() as trap:
        target = url.format(port=trap.port)
        upstream.fault("/moved", redirect=target)
        for address in (target, f"{upstream.root}/moved"):
            for fetch in (reader.fetch_metadata, reader.fetch_provenance, reader.fetch_record):
                with pytest.raises(EgressRefused):
                    await fetch(address)
            with pytest.raises(EgressRefused):
                async with reader.fetch_file(address):
                    raise AssertionError
            with pytest.raises(EgressRefused):
                await reader.fetch_range(address, "-1")
        assert trap.connections == 0


async def test_own_host_of_a_private_upstream_serves_its_files(own: Egress, upstream: Upstream) -> None:
    """What lies beside the pages is fetched, and the refusal of all else names the setting that lists other hosts."""
    file = upstream.add("egress-own", "1.0")
    reader = client(own, upstream)
    page = await reader.fetch_page(NormalizedName("egress-own"), None)
    assert page is not None
    async with reader.fetch_file(page.files[0].url) as download:
        assert b"".join([chunk async for chunk in download.chunks]) == file.content
    for url in ("https://10.0.0.1/x.whl", "https://localhost/x.whl"):
        with pytest.raises(EgressRefused, match="lies inside your network; list it in KOSCHEY_PRIVATE_HOSTS"):
            await reader.fetch_metadata(url)


async def test_listed_host_is_connected_to(upstream: Upstream) -> None:
    """A host that the operator lists, by address and port or by its network, may serve files and redirects."""
    upstream.fault("/here", body=b"egg")
    for listed in (upstream.root.removeprefix("http://"), "127.0.0.0/8"):
        egress = Egress(parse_private_hosts(listed))
        assert (await get(egress, f"{upstream.root}/here"))[2] == b"egg"
        with pytest.raises(EgressRefused):
            await get(egress, "http://10.0.0.1/")
        await egress.close()


# Redirects


def chain(upstream: Upstream, hops: int) -> str:
    """Let `/hop/00` redirect to `/hop/01` and so on; the last one answers."""
    for hop in range(hops):
        upstream.fault(f"/hop/{hop:02}", redirect=f"/hop/{hop + 1:02}")
    upstream.fault(f"/hop/{hops:02}", body=b"egg")
    return f"{upstream.root}/hop/00"


@pytest.mark.parametrize("hops", range(MAX_REDIRECTS + 1))
async def test_redirects_are_followed(private: Egress, upstream: Upstream, hops: int) -> None:
    """Ten hops are followed, relative ones too, and the answer says where it came from."""
    assert await get(private, chain(upstream, hops)) == (200, f"{upstream.root}/hop/{hops:02}", b"egg")


async def test_too_many_redirects(private: Egress, upstream: Upstream) -> None:
    """An eleventh hop is not made."""
    with pytest.raises(UpstreamMalformed, match="more than 10 redirects"):
        await get(private, chain(upstream, MAX_REDIRECTS + 1))
    assert upstream.count(f"/hop/{MAX_REDIRECTS + 1:02}") == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_all_redirects_are_alike(private: Egress, upstream: Upstream, status: int) -> None:
    """Each status that redirects is one."""
    upstream.fault("/from", redirect="/to", status=status)
    upstream.fault("/to", body=b"egg")
    assert (await get(private, f"{upstream.root}/from"))[2] == b"egg"


@pytest.mark.parametrize("headers", [{}, {"Location": ""}])
async def test_a_redirect_to_nowhere_is_an_answer(private: Egress, upstream: Upstream, headers: dict[str, str]) -> None:
    """Without a target the answer is what it is, and whoever asked sees its status."""
    upstream.fault("/from", status=302, headers=headers, body=b"lost")
    assert (await get(private, f"{upstream.root}/from"))[0] == 302


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("file:///etc/passwd", EgressRefused),
        ("ftp://files.example.org/", EgressRefused),
        ("http://ada:secret@127.0.0.1/", EgressRefused),
        ("//ada:secret@127.0.0.1/", EgressRefused),
        ("http://[::1", UpstreamMalformed),
        ("http://127.0.0.1:99999/", UpstreamMalformed),
    ],
)
async def test_each_hop_is_checked(private: Egress, upstream: Upstream, target: str, error: type[KoscheyError]) -> None:
    """A redirect leads nowhere that a request may not go to by itself."""
    upstream.fault("/from", redirect=target)
    with pytest.raises(error) as refused:
        await get(private, f"{upstream.root}/from")
    assert "secret" not in str(refused.value)


@dataclass
class Scripted:
    """In place of aiohttp's session: answers by URL, so that the world can redirect without being asked."""

    answers: dict[str, tuple[int, str | None]]
    asked: list[str] = field(default_factory=list)

    async def get(self, url: object, *, headers: dict[str, str], allow_redirects: bool, auto_decompress: bool) -> Any:
        assert not allow_redirects
        assert auto_decompress
        assert headers == {}
        self.asked.append(str(url))
        status, location = self.answers[str(url)]
        return ScriptedAnswer(status, {"Location": location} if location else {})

    async def close(self) -> None:
        """Nothing to close."""


@dataclass
class ScriptedAnswer:
    status: int
    headers: dict[str, str]

    def release(self) -> None:
        """Nothing to give back."""


START = "https://index.example.org/a"


@pytest.mark.parametrize(
    "target",
    [
        "http://index.example.org/a",
        "http://127.0.0.1/",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:10.0.0.1]/",
        "//10.0.0.1/",
        "file:///etc/passwd",
    ],
)
async def test_the_world_cannot_redirect_inside(target: str) -> None:
    """A redirect from https to http, or to an address inside, is refused before anything is asked there."""
    egress = Egress()
    await egress.close()
    script = Scripted({START: (302, target)})
    egress._session = script  # type: ignore[assignment]
    with pytest.raises(EgressRefused):
        await egress._follow(START, {})
    assert script.asked == [START]


async def test_not_even_an_operator_wants_a_downgrade() -> None:
    """From https a redirect never leads to http, also where http is allowed."""
    egress = Egress(parse_private_hosts("index.example.org"))
    await egress.close()
    script = Scripted({START: (302, "http://index.example.org/a"), "http://index.example.org/a": (200, None)})
    egress._session = script  # type: ignore[assignment]
    with pytest.raises(EgressRefused, match="redirects from https"):
        await egress._follow(START, {})
    assert script.asked == [START]


async def test_the_world_may_redirect_to_the_world() -> None:
    """From https to https on another host is what file hosts do."""
    egress = Egress()
    await egress.close()
    script = Scripted({START: (302, "//files.example.org/b"), "https://files.example.org/b": (200, None)})
    egress._session = script  # type: ignore[assignment]
    assert (await egress._follow(START, {})).status == 200
    assert script.asked == [START, "https://files.example.org/b"]


# What is sent and what comes back


async def test_no_cookie_is_kept(private: Egress, upstream: Upstream) -> None:
    """A cookie that an upstream sets is never sent back, neither to it nor after a redirect."""
    upstream.fault("/set", redirect="/get", headers={"Set-Cookie": "session=1; Path=/"})
    upstream.fault("/get", body=b"egg", headers={"Set-Cookie": "session=2; Path=/"})
    for path in ("/set", "/get"):
        await get(private, upstream.root + path)
    assert [request.path for request in upstream.requests] == ["/set", "/get", "/get"]
    for request in upstream.requests:
        assert not {"cookie", "authorization", "referer", "proxy-authorization"} & {
            name.lower() for name in request.headers
        }
        assert request.headers["User-Agent"].startswith("koschey/")


async def read_into(received: bytearray, response: aiohttp.ClientResponse) -> None:
    async for chunk in read_chunks(response):
        received += chunk


@pytest.mark.parametrize("cut", [{"truncate_at": 100}, {"reset_after": 100}, {"truncate_at": 0}])
async def test_a_body_cut_short_is_noticed(private: Egress, upstream: Upstream, cut: dict[str, int]) -> None:
    """A body that ends before its promised length is an error that may pass, and never taken for the whole."""
    upstream.fault("/file", body=b"x" * 100_000, truncate_at=cut.get("truncate_at"), reset_after=cut.get("reset_after"))
    received = bytearray()
    async with private.get(f"{upstream.root}/file", {}) as response:
        with pytest.raises(UpstreamUnavailable):
            await read_into(received, response)
    assert len(received) <= 100


async def test_who_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch, private: Egress) -> None:
    """Refused connections and unknown names are errors that may pass."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UpstreamUnavailable):
        await get(private, f"http://127.0.0.1:{port}/")
    under(monkeypatch)  # without a single answer
    egress = Egress()
    with pytest.raises(UpstreamUnavailable):
        await get(egress, "https://files.example.org/")
    await egress.close()


async def test_what_is_no_http_is_malformed(private: Egress) -> None:
    """A server of another protocol is told as such."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        with pytest.raises(UpstreamMalformed):
            await get(private, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")


# The client on top


def client(egress: Egress, upstream: Upstream, *, max_page: int = 2**20, max_file: int = 2**20) -> UpstreamClient:
    return UpstreamClient(egress, upstream.url, max_page=max_page, max_file=max_file)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, UpstreamMissing),
        (410, UpstreamMissing),
        (429, UpstreamUnavailable),
        (500, UpstreamUnavailable),
        (503, UpstreamUnavailable),
        (401, UpstreamMalformed),
        (403, UpstreamMalformed),
        (204, UpstreamMalformed),
        (304, UpstreamMalformed),  # nobody asked for it
    ],
)
async def test_statuses(private: Egress, upstream: Upstream, status: int, error: type[KoscheyError]) -> None:
    """Only 404 and 410 say that there is no such project; all else is trouble, of a kind that passes or not."""
    upstream.fault("spam", status=status, content_type="text/plain")
    with pytest.raises(error):
        await client(private, upstream).fetch_page(NormalizedName("spam"), None)


@pytest.mark.parametrize("html_only", [False, True])
async def test_pages_are_read_once(upstream: Upstream, private: Egress, *, html_only: bool) -> None:
    """A page is read in the form that the upstream has, and with its ETag it is not read again."""
    upstream.add("egress-page", "1.0")
    upstream.html_only = html_only
    try:
        name, reader = NormalizedName("egress-page"), client(private, upstream)
        page = await reader.fetch_page(name, None)
        assert page is not None
        assert [file.version for file in page.files] == ["1.0"]
        assert page.etag
        assert await reader.fetch_page(name, page.etag) is None
        assert await reader.fetch_page(name, '"other"') == page
    finally:
        upstream.html_only = False


async def test_limits_of_size(private: Egress, upstream: Upstream) -> None:
    """A page or a file larger than allowed is not read to its end."""
    upstream.fault("spam", body=b"x" * 5000, content_type="text/html")
    upstream.fault("/file", body=b"x" * 5000)
    reader = client(private, upstream, max_page=4999, max_file=4999)
    with pytest.raises(UpstreamMalformed, match="MAX_PAGE_MIB"):
        await reader.fetch_page(NormalizedName("spam"), None)
    with pytest.raises(UpstreamMalformed, match="MAX_FILE_MIB"):
        async with reader.fetch_file(f"{upstream.root}/file"):
            pass
    generous = client(private, upstream, max_file=5000)
    async with generous.fetch_file(f"{upstream.root}/file") as download:
        assert download.size == 5000
        assert b"".join([chunk async for chunk in download.chunks]) == b"x" * 5000


@pytest.mark.parametrize(("limit", "whole"), [(4999, False), (5000, True)])
async def test_limits_without_a_promised_length(
    private: Egress, upstream: Upstream, limit: int, *, whole: bool
) -> None:
    """Where nobody says how long a file is, it is counted while it arrives."""

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write((b"3e8\r\n" + b"x" * 1000 + b"\r\n") * 5 + b"0\r\n\r\n")
        await writer.drain()
        writer.close()

    received = bytearray()
    expected: AbstractContextManager[object] = (
        nullcontext() if whole else pytest.raises(UpstreamMalformed, match="MAX_FILE_MIB")
    )
    async with await asyncio.start_server(send, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/file"
        with expected:
            await collect(received, client(private, upstream, max_file=limit), url)
    assert received == b"x" * 5000 if whole else len(received) <= limit


async def collect(received: bytearray, reader: UpstreamClient, url: str) -> None:
    async with reader.fetch_file(url) as download:
        assert download.size is None
        async for chunk in download.chunks:
            received += chunk


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", "application/zip"])
async def test_only_pages_are_pages(private: Egress, upstream: Upstream, content_type: str) -> None:
    """An answer of another type is no page, and the operator is told which setting to check."""
    upstream.fault("spam", body=b"<html><a href=x>", content_type=content_type)
    with pytest.raises(UpstreamMalformed, match="KOSCHEY_UPSTREAM"):
        await client(private, upstream).fetch_page(NormalizedName("spam"), None)


async def test_files_come_as_they_are(private: Egress, upstream: Upstream) -> None:
    """A file is requested without a content coding; if the server names one, the bytes are those on the wire."""
    upstream.fault("/file", body=b"x", headers={"Content-Encoding": "X-GZip, identity"})
    async with client(private, upstream).fetch_file(f"{upstream.root}/file") as download:
        assert download.codings == ("x-gzip",)
        assert [chunk async for chunk in download.chunks] == [b"x"]
    assert upstream.requests[-1].headers["Accept-Encoding"] == "identity"


async def test_core_metadata(private: Egress, upstream: Upstream) -> None:
    """What stands beside a wheel is read as it is, and a file without it is told as missing."""
    wheel = upstream.add("egress-metadata", "1.0")
    bare = upstream.add("egress-metadata", "2.0", core_metadata=False)
    reader = client(private, upstream)
    assert wheel.metadata
    assert await reader.fetch_metadata(wheel.url) == wheel.metadata
    with pytest.raises(UpstreamMissing):
        await reader.fetch_metadata(bare.url)
