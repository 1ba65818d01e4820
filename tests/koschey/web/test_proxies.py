"""Whose request it is behind proxies: read from the right, believed from the operator's own alone, never spoofed."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschey.app import create_app
from koschey.settings import Settings
from koschey.web.proxies import BehindProxies, client_address
from tests.support.api import NOBODY, Api
from tests.support.koschey_up import Koschey, ask
from tests.support.releases import hold
from tests.support.upstream.server import Upstream

OURS = tuple(ip_network(text) for text in ("10.0.0.0/8", "2001:db8:f::/48"))
PROXY, CLIENT = "10.0.0.1", "192.0.2.9"


def found(peer: str, *headers: tuple[str, str]) -> str | None:
    return client_address(peer, [(name.lower().encode(), value.encode("latin-1")) for name, value in headers], OURS)


def of(value: str, header: str = "X-Forwarded-For", peer: str = PROXY) -> str | None:
    return found(peer, (header, value))


# What a proxy of ours says


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("192.0.2.9", "192.0.2.9"),
        ("192.0.2.9:51234", "192.0.2.9"),
        ("2001:db8::9", "2001:db8::9"),
        ("[2001:db8::9]", "2001:db8::9"),
        ("[2001:DB8:0::9]:443", "2001:db8::9"),
        ("::ffff:192.0.2.9", "192.0.2.9"),
        (" 192.0.2.9 ,\t10.2.3.4", "192.0.2.9"),
        ("192.0.2.9, 2001:db8:f::7, ::ffff:10.2.3.4", "192.0.2.9"),
        # All that stands to the left of the first that is no proxy is made up.
        ("198.51.100.1, 192.0.2.9", "192.0.2.9"),
        ("10.0.0.2, 192.0.2.9, 10.2.3.4", "192.0.2.9"),
        ("what, ever, \xff, 192.0.2.9", "192.0.2.9"),
        ('"198.51.100.1, 192.0.2.9', "192.0.2.9"),
        # A proxy that asks for itself.
        ("10.9.9.9", "10.9.9.9"),
        ("10.9.9.9, 10.0.0.2", "10.9.9.9"),
    ],
)
def test_x_forwarded_for(value: str, client: str) -> None:
    """The first address from the right that is no proxy's, whatever stands before it, with and without ports."""
    assert of(value) == client


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("for=192.0.2.9", "192.0.2.9"),
        ("For=192.0.2.9; proto=https ;by=10.0.0.1", "192.0.2.9"),
        ('for="192.0.2.9:4711"', "192.0.2.9"),
        ('for="[2001:db8::9]:4711";proto=https', "2001:db8::9"),
        ('for="[2001:db8::9]:_port"', "2001:db8::9"),
        ("for=192.0.2.9:80;host=index.example.org", "192.0.2.9"),
        ('for=198.51.100.1, for=192.0.2.9, for="[2001:db8:f::1]"', "192.0.2.9"),
        # A quote that a client leaves open does not swallow what the proxy adds.
        ('for=198.51.100.1;host=", for=192.0.2.9', "192.0.2.9"),
        ('for=198.51.100.1;host="\\, for="[2001:db8::9]"', "2001:db8::9"),
    ],
)
def test_forwarded(value: str, client: str) -> None:
    """RFC 7239: the same walk; quotes, ports and further pairs are understood, and no quote leads past the end."""
    assert of(value, "Forwarded") == client


def test_lines_of_a_header_are_one_list() -> None:
    """A proxy may add a line of its own: the last line is what it wrote."""
    lines = [("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-For", "192.0.2.9, 10.0.0.7")]
    assert found(PROXY, *lines) == "192.0.2.9"


# What is not believed


@pytest.mark.parametrize("peer", ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "", "unix:", "<local>", "10.0.0"])
@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_of_strangers(peer: str, header: str) -> None:
    """Whoever is no proxy of ours is who it is, whatever it says."""
    assert of("198.51.100.1" if header != "Forwarded" else "for=198.51.100.1", header, peer) is None


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", ",", "unknown", "_hidden", "192.0.2.9,", "192.0.2.999", "192.0.2", "192.0.2.9/32", "fe80::1%eth0"),
        *("[192.0.2.9", "[2001:db8::9]443", "2001:db8::9]:1", "[192.0.2.9]x", "::ffff:", "192.0.2.9 10.0.0.1"),
        *("192.0.2.9, unknown, 10.0.0.7", "\xb2.0.2.9", "0xc0.0.2.9", "192.0.2.010", "<script>", "192.0.2.9;x"),
    ],
)
def test_what_is_no_address(value: str) -> None:
    """Where a proxy of ours reports no address, its own stands; what it says less of is not taken instead."""
    assert of(value) is None


@pytest.mark.parametrize(
    "value",
    [
        *("for=unknown", "for=_hidden", "proto=https", "192.0.2.9", "for=", "for", "for=192.0.2.9;", ";for=192.0.2.9"),
        *(
            "for=192.0.2.9;for=198.51.100.1",
            'for="192.0.2.9',
            "for=192.0.2.9 proto=https",
            'for="192.0.2.9";host="a,b"',
        ),
    ],
)
def test_what_is_no_element(value: str) -> None:
    """An element of `Forwarded` that names no address, several, or is malformed, leaves the peer's."""
    assert of(value, "Forwarded") is None


def test_two_headers_that_disagree() -> None:
    """A client that adds the header which its proxy does not write wins nothing; where both agree, that counts."""
    assert found(PROXY, ("X-Forwarded-For", CLIENT), ("Forwarded", "for=198.51.100.1")) is None
    assert found(PROXY, ("Forwarded", f"for={CLIENT}"), ("X-Forwarded-For", "198.51.100.1")) is None
    assert found(PROXY, ("Forwarded", f"for={CLIENT}"), ("X-Forwarded-For", f"198.51.100.1, {CLIENT}:80")) == CLIENT
    assert found(PROXY, ("Forwarded", f"for={CLIENT}"), ("X-Forwarded-For", "")) == CLIENT


CLAIMS = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60)
HOSTILE = st.one_of(CLAIMS, st.text(',;="\\ 10.for:[]', max_size=40))


@given(HOSTILE)
def test_no_claim_changes_what_the_proxy_adds(claim: str) -> None:
    """Whatever a client sends, what its proxy adds at the end decides."""
    assert of(f"{claim}, {CLIENT}") == CLIENT
    for added in (f"for={CLIENT}", f'for="{CLIENT}:80";proto=https', f'by="[2001:db8:f::1]";for="{CLIENT}"'):
        assert of(f"{claim}, {added}", "Forwarded") == CLIENT
    both = ("X-Forwarded-For", f"{claim}, {CLIENT}"), ("Forwarded", claim)
    assert found(PROXY, *both) in (None, CLIENT)


# In front of the application


async def test_the_scope_that_handlers_see() -> None:
    """The client stands in a scope of its own; where nothing is believed, and for a lifespan, nothing is touched."""
    seen: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    front = BehindProxies(application, OURS)
    headers = [(b"x-forwarded-for", CLIENT.encode())]
    scopes: list[dict[str, Any]] = [
        {"type": "http", "client": (PROXY, 5), "headers": headers},
        {"type": "http", "client": ("192.0.2.1", 5), "headers": headers},
        {"type": "http", "client": None, "headers": headers},
        {"type": "lifespan"},
    ]
    for scope in scopes:
        await front(scope, None, None)
    assert [scope.get("client") for scope in seen] == [(CLIENT, 0), ("192.0.2.1", 5), None, None]
    assert scopes[0]["client"] == (PROXY, 5)


def test_without_the_setting_nothing_stands_in_front() -> None:
    """By default no header of anybody is read."""
    base = {"database_url": "postgresql://localhost/none"}
    assert not isinstance(create_app(Settings.model_validate(base)), BehindProxies)
    settings = Settings.model_validate(base | {"trusted_proxies": "10.0.0.0/8", "anonymous_reading": False})
    assert isinstance(create_app(settings), BehindProxies)


def test_downloads_and_requests_name_the_client(folder: Path, upstream: Upstream) -> None:
    """Behind a proxy the client stands in the log and with a request; what it claimed itself stands nowhere."""
    variables = {"KOSCHEY_TRUSTED_PROXIES": "127.0.0.0/8, ::1"}
    with Koschey(folder / "proxied", upstream.url, variables=variables) as koschey:
        file = upstream.add("px-taken", "1.0")
        koschey.page("px-taken")
        claimed: dict[str, Any] = {"X_Forwarded_For": f"198.51.100.1, {CLIENT}"}
        assert ask(koschey.url + file.path, **claimed).status == 200
        assert koschey.fetch_value("SELECT string_agg(address, ' ') FROM download") == CLIENT
        hold(koschey, upstream, "px-held")
        body = {"project": "px-held", "version": "2.0", "reason": "our build"}
        assert Api(koschey).call("POST", "requests", body, token=NOBODY, **claimed).json["who"] == CLIENT
