"""The hosts that an index answers for, and its redirects: they lead to a path, whatever host a request claims."""

from urllib.parse import urlsplit

import pytest

from koschey.errors import Misdirected, UsageError
from koschey.settings import Settings
from koschey.settings.hosts import Host, listening_host, parse_host
from koschey.web.misdirected import OwnHosts
from tests.support.app_in_process import AppInProcess, Store
from tests.support.examples import DATABASE
from tests.support.postgres import Postgres
from tests.support.routes import filled, rules
from tests.support.upstream.server import Upstream

# Hosts


def own_hosts(text: str | None = None, base_url: str | None = "https://Index.Example.org:8443/pypi") -> OwnHosts:
    """The hosts of an index with these settings."""
    settings = Settings.model_validate({"database_url": DATABASE, "base_url": base_url, "hosts": text})
    return OwnHosts(settings.own_hosts, settings.public_url)


def is_ours(hosts: OwnHosts, host: str, path: str = "/simple/") -> bool:
    """Whether a request with that header is answered."""
    try:
        hosts.check([host.encode("latin-1")], None, "1.1", path)
    except Misdirected:
        return False
    return True


@pytest.mark.parametrize(
    ("further", "host", "answered"),
    [
        (None, "index.example.org", True),
        # Proxies leave the port out, or name their own.
        (None, "INDEX.example.ORG:8443", True),
        (None, "index.example.org.:80", True),
        (None, "evil.example", False),
        (None, "index.example.org.evil.example", False),
        (None, "xindex.example.org", False),
        (None, "127.0.0.1:8080", False),
        ("127.0.0.1, web:8080", "127.0.0.1:9", True),
        ("127.0.0.1, web:8080", "web:8080", True),
        ("127.0.0.1, web:8080", "web:8081", False),
        ("127.0.0.1, web:8080", "web", False),
        ("::1", "[::1]:8080", True),
        ("[2001:DB8::0:1]", "[2001:db8::1]", True),
        ("[2001:DB8::0:1]", "[2001:db8::2]", False),
    ],
)
def test_hosts(further: str | None, host: str, answered: bool) -> None:
    """The public address's host and the further ones are answered, in every spelling, and no others."""
    assert is_ours(own_hosts(further), host) is answered
    assert is_ours(own_hosts(further), host, "/_/health")
    assert is_ours(own_hosts(further, base_url=None), host)


@pytest.mark.parametrize(
    "named",
    [["a", "a"], ["a", "b"], [], [""], [" "], ["a b"], ["a,b"], ["http://a"], ["a/b"], ["\xfc"], ["[::1"], ["a:b"]],
)
def test_requests_that_name_no_host(named: list[str]) -> None:
    """No host, several, or what is none: 400, whatever hosts are ours, and for health checks too (RFC 9112, 3.2)."""
    for hosts in (own_hosts(), own_hosts(base_url=None)):
        for path in ("/simple/", "/_/health"):
            with pytest.raises(UsageError, match="Host header") as error:
                hosts.check([name.encode("latin-1") for name in named], None, "1.1", path)
            assert not isinstance(error.value, Misdirected)


def test_the_target_overrules_the_header() -> None:
    """RFC 9112, 3.2.2: of a request in absolute form the target's host counts."""
    with pytest.raises(Misdirected):
        own_hosts().check([b"index.example.org"], "evil.example", "1.1", "/simple/")
    own_hosts().check([b"index.example.org"], "index.example.org:8443", "1.1", "/simple/")


def test_http_1_0_names_no_host() -> None:
    """Old health checks send no Host header; where the host counts, nothing else is answered without one."""
    own_hosts(base_url=None).check([], None, "1.0", "/simple/")
    own_hosts().check([], None, "1.0", "/_/health")
    with pytest.raises(Misdirected):
        own_hosts().check([], None, "1.0", "/simple/")


@pytest.mark.parametrize("text", ["", "a:b", "[::1", "http://a", "a b", "::1]", "é.example", "a:123456"])
def test_what_is_no_host(text: str) -> None:
    """None of these is a host; as a further host each is refused at the start."""
    assert parse_host(text) is None
    if text:
        for base_url in ("https://index.example.org", None):
            with pytest.raises(ValueError, match=r"KOSCHEY_HOSTS: .* is not a host"):
                own_hosts(text, base_url)


def test_foreign_host_is_421(postgres: Postgres, s3: Store, shared_upstream: Upstream) -> None:
    """B4: with a public address a request for another host gets 421 on every route but health, and changes nothing."""
    public = "https://index.example.org"
    with AppInProcess(postgres, s3, shared_upstream, base_url=public, hosts="127.0.0.1") as app:
        for rule in rules(app):
            [answer] = app.ask_all(filled(rule, "e-foreign"), Host="evil.example")
            assert answer.status == (200 if rule.startswith("/_/") else 421), (rule, answer)
            assert answer.status == 200 or f"another host than {public}" in answer.json["detail"]
        assert app.ask("/legacy/", "POST", body=b"x", Host="evil.example").status == 421
        assert app.ask("/simple/").status == 200


# Redirects


def test_no_redirect_names_a_host(app: AppInProcess) -> None:
    """B4: every redirect of every route leads to a path, whatever host the request claims, and no query is lost."""
    app.upstream.add("e-moved", "1.0")
    app.refresh("e-moved")
    spellings = ("E.Moved", "e-moved", "e_moved/1.0", "%2f%2fevil.example", "/evil.example")
    found = set()
    for rule in rules(app):
        for segment in spellings:
            path = filled(rule, segment)
            for target in (path, path.removesuffix("/"), f"{path}/", f"{path}?x=//evil.example"):
                [answer, *_] = app.ask_all(target or "/", Host="evil.example")
                if location := answer.headers.get("location"):
                    parts = urlsplit(location)
                    assert (parts.scheme, parts.netloc) == ("", ""), (target, location)
                    assert location.startswith("/"), (target, location)
                    assert "evil" not in parts.path or "evil" in target, (target, location)
                    found.add(rule)
    assert {"/held/<project>/", "/simple/<project>", "/legacy/+simple/<project>/", "/pypi/<project>/json"} <= found


def test_a_missing_slash_is_added(app: AppInProcess) -> None:
    """What lacks its slash is sent to the path with one, with its query."""
    [answer, *_] = app.ask_all("/held/e-slash?x=1", Host="evil.example")
    assert (answer.status, answer.headers["location"]) == (308, "/held/e-slash/?x=1")


# What is listened on


@pytest.mark.parametrize(
    ("text", "host"), [("127.0.0.1", None), ("::1", None), ("[::1]", "::1"), ("localhost", None), ("unix:/a b/c", None)]
)
def test_what_can_be_listened_on(text: str, host: str | None) -> None:
    """Names, addresses of both families, with brackets or without, and unix sockets."""
    assert listening_host(text) == (host or text)


@pytest.mark.parametrize("text", ["127.0.0.1:80", "[::1]:80", "unix:a", "unix:", "http://a", "a b", "unix:/a\0"])
def test_what_cannot_be_listened_on(text: str) -> None:
    """A port has a setting of its own; a socket has an absolute path."""
    with pytest.raises(ValueError, match=r"address to listen on|absolute path"):
        listening_host(text)


def test_ipv6_stands_in_brackets() -> None:
    """In the public address; a request for it is one for us."""
    settings = Settings.model_validate({"database_url": DATABASE, "host": "::1"})
    assert settings.public_url == "http://[::1]:8080"
    assert is_ours(own_hosts(base_url="http://[::1]:8080"), "[0:0::1]:8080")
    assert Host("::1", 80) == parse_host("[::1]:80")
