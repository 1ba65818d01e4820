"""An index under a path of its own, such as `/pypi`: what it may be, and how a request finds its route."""

import pytest
from werkzeug.routing import Map, Rule

from koschey import addresses
from koschey.addresses import Addresses
from koschey.app import create_front
from koschey.settings import Settings
from koschey.web.mount import Mount
from tests.support.examples import DATABASE

ROUTES = Map(
    [
        *(
            Rule(path, methods=["GET"])
            for path in ("/", "/simple/", "/simple/<name>/", "/packages/<path:rest>", "/_/live")
        ),
        *(Rule(path, methods=["GET"]) for path in ("/pypi/<name>/json", "/held/<name>/", "/admin/<path:rest>")),
        Rule("/pypi", methods=["POST"]),
        Rule("/pypi/", methods=["POST"]),
    ]
)


@pytest.mark.parametrize(
    ("prefix", "method", "path", "inner"),
    [
        ("", "GET", "/simple/six/", "/simple/six/"),
        # A proxy that takes the path away, and one that passes it on.
        ("/py", "GET", "/simple/six/", "/simple/six/"),
        ("/py", "GET", "/py/simple/six/", "/simple/six/"),
        ("/py", "GET", "/py/py/six/", "/py/six/"),
        ("/py", "GET", "/py", "/"),
        ("/py", "GET", "/py/", "/"),
        ("/py", "GET", "/pyx/simple/", "/pyx/simple/"),
        ("/py", "GET", "/py/held/six", "/held/six"),
        ("/py", "GET", "/py/nothing", "/nothing"),
        ("/a/b", "GET", "/a/b/_/live", "/_/live"),
        ("/a/b", "GET", "/a/simple/", "/a/simple/"),
        # Where the path is also the beginning of a route, what is a route counts.
        ("/pypi", "GET", "/pypi/six/json", "/pypi/six/json"),
        ("/pypi", "GET", "/pypi/pypi/six/json", "/pypi/six/json"),
        ("/pypi", "GET", "/pypi/simple/six/", "/simple/six/"),
        ("/pypi", "GET", "/pypi/", "/"),
        ("/pypi", "POST", "/pypi", "/pypi"),
        ("/pypi", "POST", "/pypi/", "/pypi/"),
        ("/pypi", "POST", "/pypi/pypi", "/pypi"),
        ("/pypi", "POST", "/pypi/simple/", "/simple/"),
    ],
)
def test_mount(prefix: str, method: str, path: str, inner: str) -> None:
    """Behind both kinds of proxies a request finds its route."""
    assert Mount(prefix, ROUTES).inner(path, method) == inner


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("https://example.org/simple/", "leave /simple out"),
        ("https://example.org/pypi/simple", "leave /simple out"),
        ("https://example.org/packages/x", "begin with /packages"),
        ("https://example.org/_", "begin with /_"),
        ("https://example.org/a b", "letters, digits"),
        ("https://example.org/%70ypi", "letters, digits"),
        ("https://example.org/a//b", "letters, digits"),
        ("https://example.org/\u00fc", "letters, digits"),
        ("https://user:secret@example.org/", "leave user name"),
        ("https://example.org/?x", "leave user name"),
        ("https://example.org/#x", "leave user name"),
    ],
)
def test_what_an_index_cannot_live_under(address: str, why: str) -> None:
    """It is refused at the start, in one line that says why, without secrets."""
    with pytest.raises(ValueError, match=f"KOSCHEY_BASE_URL: .*{why}") as error:
        Settings.model_validate({"database_url": DATABASE, "base_url": address})
    assert "secret" not in str(error.value.errors()[0]["msg"])  # type: ignore[attr-defined]


def test_first_segments_are_those_of_the_routes() -> None:
    """What a public address may not begin with is kept equal to what the application answers."""
    settings = Settings.model_validate({"database_url": DATABASE})
    routes = create_front(settings).quart.url_map.iter_rules()
    assert {rule.rule.split("/")[1] for rule in routes} - {""} == addresses.FIRST_SEGMENTS


def test_addresses() -> None:
    """A path becomes an address in three ways."""
    ours = Addresses("https://example.org:8443/a/b")
    assert (ours.prefix, Addresses("https://example.org").prefix) == ("/a/b", "")
    assert ours.absolute(addresses.project_page("six")) == "https://example.org:8443/a/b/simple/six/"
    assert ours.here(addresses.held_release("six", "1.0+x")) == "/a/b/held/six/1.0%2Bx/"
    assert addresses.relative("/packages/x", 2) == "../../packages/x"
