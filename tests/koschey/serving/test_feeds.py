"""Feeds and statistics over HTTP: what began to be served, and nothing that is not served now."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from xml.etree.ElementTree import Element
from xmlrpc.client import ServerProxy

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st

from koschey.standards.feeds import Item, RssFeed, render_feed
from tests.support.archives import wheel
from tests.support.koschey_up import Koschey, ask, wait_until
from tests.support.uploads import encoded, form, post
from tests.support.upstream.server import Upstream

FEEDS = ("packages.xml", "updates.xml")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def feed(koschey: Koschey, path: str) -> list[Element]:
    """The items of a feed, checked for what each must have."""
    answer = ask(f"{koschey.url}/rss/{path}")
    assert answer.status == 200, answer
    assert answer.headers["content-type"].startswith("text/xml")
    root = fromstring(answer.body)
    assert (root.tag, root.attrib["version"]) == ("rss", "2.0")
    items: list[Element] = root.findall("./channel/item")
    for item in items:
        assert item.findtext("link", "").startswith(koschey.url)
        assert parsedate_to_datetime(item.findtext("pubDate", "")).tzinfo is not None
    return items


def titles(koschey: Koschey, path: str) -> list[str]:
    """The titles of a feed's items."""
    return [item.findtext("title", "") for item in feed(koschey, path)]


@given(st.text(), st.text())
def test_any_text_makes_a_feed(title: str, description: str) -> None:
    """A feed is XML whatever its texts are."""
    body = render_feed(
        RssFeed(title, "https://example.org/", description, [Item(title, "https://example.org/1", description, NOW)])
    )
    assert len(fromstring(body).findall("./channel/item")) == 1


def test_feed_is_in_the_order_given() -> None:
    """Items are rendered as they come, each with its time as RFC 822 wants it."""
    items = [Item(f"spam {number}", f"https://example.org/{number}", "x\x1b<y>", NOW) for number in (2, 1)]
    root = fromstring(render_feed(RssFeed("t", "https://example.org/", "d", items)))
    assert [item.findtext("title") for item in root.iter("item")] == ["spam 2", "spam 1"]
    assert {item.findtext("description") for item in root.iter("item")} == {"x<y>"}
    assert {item.findtext("pubDate") for item in root.iter("item")} == {"Sun, 22 Nov 2026 12:00:00 +0000"}


def test_newest_stand_first(koschey: Koschey, upstream: Upstream) -> None:
    """A project seen for the first time leads both feeds; its releases stand in the order of their uploads."""
    old, new = datetime.now(UTC) - timedelta(days=500), datetime.now(UTC) - timedelta(days=400)
    upstream.add("fd-new", "2.0", upload_time=new)
    upstream.add("fd-new", "1.0", upload_time=old)
    koschey.page("fd-new")
    assert titles(koschey, "packages.xml")[0] == "fd-new"
    assert titles(koschey, "updates.xml")[:2] == ["fd-new 2.0", "fd-new 1.0"]
    assert titles(koschey, "project/fd-new/releases.xml") == ["fd-new 2.0", "fd-new 1.0"]
    link = feed(koschey, "updates.xml")[0].findtext("link", "")
    assert ask(link).json["info"]["version"] == "2.0"
    upstream.add("fd-newer", "1.0")
    assert titles(koschey, "project/fd-newer/releases.xml") == ["fd-newer 1.0"]
    assert titles(koschey, "packages.xml")[:2] == ["fd-newer", "fd-new"]
    assert ask(f"{koschey.url}/pypi/fd-newer/json").status == 200
    wheel_of = wheel("fd-own", "1.0")
    assert post(koschey, encoded(form(*wheel_of), *wheel_of)).status == 200
    assert titles(koschey, "packages.xml")[0] == "fd-own"
    assert titles(koschey, "updates.xml")[0] == "fd-own 1.0"


def test_hidden_files_are_in_no_feed(koschey: Koschey, upstream: Upstream) -> None:
    """What is held, blocked or quarantined is in none, and leaves a feed at once when it becomes so."""
    upstream.add("fd-hidden", "1.0")
    upstream.add("fd-hidden", "6.6.91", upload_time=datetime.now(UTC) - timedelta(hours=1))
    upstream.add("fd-held", "6.6.91", upload_time=datetime.now(UTC) - timedelta(hours=1))
    upstream.add("fd-blocked", "7.7.91")
    for name in ("fd-hidden", "fd-held", "fd-blocked"):
        koschey.page(name)
    assert "fd-blocked 7.7.91" in titles(koschey, "updates.xml")
    koschey.run("block", "fd-blocked==7.7.91", "--reason", "malware")
    for path in (*FEEDS, "project/fd-hidden/releases.xml"):
        body = ask(f"{koschey.url}/rss/{path}").body
        for word in (b"6.6.91", b"7.7.91", b"fd-held", b"fd-blocked", b"malware"):
            assert word not in body, path
    for name in ("fd-held", "fd-blocked", "fd-nothing"):
        assert ask(f"{koschey.url}/rss/project/{name}/releases.xml").status == 404
    koschey.run("approve", "fd-held==6.6.91", "--reason", "seen")
    assert titles(koschey, "updates.xml")[0] == "fd-held 6.6.91"
    upstream.set_status("fd-held", "quarantined", "malware")
    wait_until(lambda: (koschey.page("fd-held"), titles(koschey, "packages.xml"))[1][0] != "fd-held")
    assert "fd-held 6.6.91" not in titles(koschey, "updates.xml")


def test_feed_answers_304(koschey: Koschey, upstream: Upstream) -> None:
    """A reader that comes back is told that nothing has changed, until something has."""
    upstream.add("fd-etag", "1.0")
    koschey.page("fd-etag")
    etag = ask(f"{koschey.url}/rss/updates.xml").headers["etag"]
    assert ask(f"{koschey.url}/rss/updates.xml", If_None_Match=etag).status == 304
    koschey.run("block", "fd-etag", "--yes", "--reason", "a test")
    assert ask(f"{koschey.url}/rss/updates.xml", If_None_Match=etag).status == 200


@pytest.mark.parametrize("name", ["Fd_Name", "fd.name"])
def test_unnormalised_name_of_a_feed(koschey: Koschey, upstream: Upstream, name: str) -> None:
    """A name that is not normalised leads to the feed."""
    upstream.add("fd-name", "1.0")
    assert titles(koschey, f"project/{name}/releases.xml") == ["fd-name 1.0"]
    assert ask(f"{koschey.url}/rss/project/-/releases.xml").status == 400


@pytest.mark.parametrize("accept", ["application/json", "text/html", "*/*"])
def test_statistics(koschey: Koschey, upstream: Upstream, accept: str) -> None:
    """The sum of the served files, and the largest projects; a held file counts for nothing."""
    name = f"fd-size-{len(accept)}"
    file = upstream.add_large(name, "1.0", size=50 * 2**20)
    upstream.add(name, "6.6.6", upload_time=datetime.now(UTC) - timedelta(hours=1))

    def sizes() -> object:
        answer = ask(f"{koschey.url}/stats/", Accept=accept)
        assert answer.headers["content-type"] == "application/json"
        found = json.loads(answer.body)
        assert set(found) == {"top_packages", "total_packages_size"}
        assert found["total_packages_size"] >= sum(each["size"] for each in found["top_packages"].values())
        return found["top_packages"].get(name)

    koschey.page(name)
    assert wait_until(sizes) == {"size": file.size}
    koschey.run("block", name, "--yes", "--reason", "a test")
    wait_until(lambda: sizes() is None)


def test_removed_files_are_on_no_surface(koschey: Koschey) -> None:
    """What is removed, or hidden by a quarantine of its project, leaves document, feed, search and changelog."""
    for version in ("1.0", "6.6.92"):
        built = wheel("fd-private", version)
        assert post(koschey, encoded(form(*built), *built)).status == 200

    def surfaces() -> list[bytes]:
        with ServerProxy(f"{koschey.url}/pypi", allow_none=True) as proxy:
            called = [proxy.search({"name": "fd-private"}), proxy.changelog_since_serial(since)]
        paths = ("/rss/updates.xml", "/rss/project/fd-private/releases.xml", "/pypi/fd-private/json")
        return [str(value).encode() for value in called] + [ask(koschey.url + path).body for path in paths]

    since = koschey.fetch_value("SELECT min(serial) - 1 FROM journal WHERE project = 'fd-private'")
    wait_until(lambda: all(b"6.6.92" in body for body in surfaces()))
    koschey.run("remove", "fd-private==6.6.92", "--reason", "a test", "--yes")
    wait_until(lambda: not any(b"6.6.92" in body for body in surfaces()))
    assert ask(f"{koschey.url}/pypi/fd-private/6.6.92/json").status == 404
    assert ask(f"{koschey.url}/pypi/fd-private/json").json["info"]["version"] == "1.0"
    koschey.run("status", "fd-private", "quarantined", "--reason", "a test")
    wait_until(lambda: ask(f"{koschey.url}/pypi/fd-private/json").status == 404)
    assert "fd-private" not in titles(koschey, "packages.xml")
    assert ask(f"{koschey.url}/rss/project/fd-private/releases.xml").status == 404
