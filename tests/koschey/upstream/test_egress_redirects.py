"""Redirects of upstreams: how many are followed, and where none may lead."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from koschey.errors import EgressRefused, KoscheyError, UpstreamMalformed
from koschey.settings.private_hosts import parse_private_hosts
from koschey.upstream.egress import MAX_REDIRECTS, Egress
from tests.support.egress import get
from tests.support.upstream.server import Upstream


def chain(upstream: Upstream, hops: int) -> str:
    """Let `/hop/00` redirect to `/hop/01` and so on; the last one answers."""
    for hop in range(hops):
        upstream.fault(f"/hop/{hop:02}", redirect=f"/hop/{hop + 1:02}")
    upstream.fault(f"/hop/{hops:02}", body=b"egg")
    return f"{upstream.root}/hop/00"


@pytest.mark.parametrize("hops", range(MAX_REDIRECTS + 1))
async def test_redirects_are_followed(local: Egress, upstream: Upstream, hops: int) -> None:
    """Ten hops are followed, relative ones too, and the answer says where it came from."""
    assert await get(local, chain(upstream, hops)) == (200, f"{upstream.root}/hop/{hops:02}", b"egg")


async def test_too_many_redirects(local: Egress, upstream: Upstream) -> None:
    """An eleventh hop is not made."""
    with pytest.raises(UpstreamMalformed, match="more than 10 redirects"):
        await get(local, chain(upstream, MAX_REDIRECTS + 1))
    assert upstream.count(f"/hop/{MAX_REDIRECTS + 1:02}") == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_all_redirects_are_alike(local: Egress, upstream: Upstream, status: int) -> None:
    """Each status that redirects is one."""
    upstream.fault("/from", redirect="/to", status=status)
    upstream.fault("/to", body=b"egg")
    assert (await get(local, f"{upstream.root}/from"))[2] == b"egg"


@pytest.mark.parametrize("headers", [{}, {"Location": ""}])
async def test_a_redirect_to_nowhere_is_an_answer(local: Egress, upstream: Upstream, headers: dict[str, str]) -> None:
    """Without a target the answer is what it is, and whoever asked sees its status."""
    upstream.fault("/from", status=302, headers=headers, body=b"lost")
    assert (await get(local, f"{upstream.root}/from"))[0] == 302


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
async def test_each_hop_is_checked(local: Egress, upstream: Upstream, target: str, error: type[KoscheyError]) -> None:
    """A redirect leads nowhere that a request may not go to by itself."""
    upstream.fault("/from", redirect=target)
    with pytest.raises(error) as refused:
        await get(local, f"{upstream.root}/from")
    assert "secret" not in str(refused.value)


# From the world


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
