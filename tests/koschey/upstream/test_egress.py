"""Where Koschey's own requests may go: spellings of loopback, names, and what a private upstream may point to."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from packaging.utils import NormalizedName

from koschey.errors import EgressRefused, KoscheyError, UpstreamMalformed
from koschey.settings.private_hosts import NO_HOSTS, PrivateHosts, parse_private_hosts
from koschey.upstream.egress import CheckedResolver, Egress
from tests.support.egress import LISTED, Trap, answer_names, client, get
from tests.support.upstream.server import Upstream


@pytest_asyncio.fixture
async def public() -> AsyncIterator[Egress]:
    """As it is by default: the world, and nothing else."""
    egress = Egress()
    yield egress
    await egress.close()


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


async def test_private_upstreams_can_be_allowed(local: Egress, upstream: Upstream) -> None:
    """Where the operator says so, plain http on loopback is read."""
    upstream.fault("/here", body=b"egg", times=1)
    assert await get(local, f"{upstream.root}/here") == (200, f"{upstream.root}/here", b"egg")


# Names


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["fd00::1", "2606:4700::1"], ["::ffff:10.0.0.1"], ["fe80::1%eth0"]],
)
async def test_names_with_any_address_inside_are_refused(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
    """One address inside is enough: the connector might choose just that one."""
    answer_names(monkeypatch, addresses)
    egress = Egress()
    async with Trap.set_up() as trap:
        with pytest.raises(EgressRefused, match=rf"files\.example\.org:{trap.port} lies inside.*KOSCHEY_PRIVATE_HOSTS"):
            await get(egress, f"https://files.example.org:{trap.port}/")
        assert trap.connections == 0
    await egress.close()


async def test_names_are_resolved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was checked is what is connected to: a name that changes its mind is asked only once a connection."""
    zone = answer_names(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
    resolver = CheckedResolver()
    found = await resolver.resolve("files.example.org", 443)
    assert [result["host"] for result in found] == ["93.184.216.34"]
    assert zone.asked == 1
    with pytest.raises(EgressRefused):
        await resolver.resolve("files.example.org", 443)


async def test_private_names_can_be_allowed(monkeypatch: pytest.MonkeyPatch, upstream: Upstream) -> None:
    """A name that the operator lists may stand for addresses inside, with the port that is listed."""
    zone = answer_names(monkeypatch, ["127.0.0.1"])
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
