"""Pages of upstreams, as JSON and as HTML: what is kept of them, and what is left out."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschey.errors import UpstreamMalformed
from koschey.model import (
    LeftOutCause,
    UpstreamFile,
    UpstreamPage,
)
from koschey.standards import simple_html, simple_json
from koschey.standards import upstream_page as cleaning
from koschey.standards.upstream_page import MAX_LEFT_OUT, MAX_TEXT
from tests.support.examples import DIGEST, METADATA, SPAM

URL = "https://index.example.org/simple/spam/"

FILES = "https://files.example.org"

ROOT = "https://koschey.example.org"


def upstream_page(*files: Any, **top: Any) -> bytes:
    return json.dumps({"meta": {"api-version": "1.1"}, "name": "spam", "files": list(files)} | top).encode()


def entry(**changes: Any) -> dict[str, Any]:
    """A file as a good upstream lists it, but for what is said; `...` leaves a key out."""
    good = {
        "filename": "spam-1.0-py3-none-any.whl",
        "url": f"{FILES}/spam-1.0-py3-none-any.whl",
        "hashes": {"sha256": DIGEST},
        "size": 1337,
        "requires-python": ">=3.9",
        "upload-time": "2026-11-19T07:03:28.866000Z",
        "yanked": False,
        "core-metadata": {"sha256": METADATA},
    }
    changed = good | {key.replace("_", "-"): value for key, value in changes.items()}
    return {key: value for key, value in changed.items() if value is not ...}


CLEAN = UpstreamFile(
    filename="spam-1.0-py3-none-any.whl",
    version="1.0",
    url=f"{FILES}/spam-1.0-py3-none-any.whl",
    sha256=DIGEST,
    size=1337,
    upload_time=datetime(2026, 11, 19, 7, 3, 28, 866000, tzinfo=UTC),
    requires_python=">=3.9",
    yanked=None,
    core_metadata=METADATA,
)


def parse(body: bytes) -> UpstreamPage:
    return simple_json.parse_project(body, URL, SPAM, None)


@pytest.mark.parametrize(
    ("changes", "cleaned"),
    [
        ({}, {}),
        ({"_private": 1, "unknown": [None], "gpg-sig": "x", "provenance": 5}, {}),
        # bandersnatch and static mirrors
        ({"upload_time": "", "requires_python": ""}, {"upload_time": None, "requires_python": None}),
        ({"upload_time": None, "requires_python": None, "size": None, "yanked": None}, "all unknown"),
        ({"upload_time": ..., "requires_python": ..., "size": ..., "yanked": ...}, "all unknown"),
        ({"hashes": ...}, {"sha256": None}),
        ({"hashes": None}, {"sha256": None}),
        ({"hashes": {}}, {"sha256": None}),
        ({"hashes": []}, {"sha256": None}),
        ({"hashes": {"md5": "0" * 32}}, {"sha256": None}),
        ({"hashes": {"sha256": DIGEST.upper()}}, {}),
        ({"hashes": {"sha256": "ab"}}, {"sha256": None}),
        ({"hashes": {"sha256": DIGEST + "\n"}}, {"sha256": None}),
        ({"hashes": {"sha256": 5}}, {"sha256": None}),
        ({"hashes": {"sha256": "é" * 64}}, {"sha256": None}),
        # sizes
        ({"size": 0}, {"size": 0}),
        ({"size": -1}, {"size": None}),
        ({"size": 2**62 - 1}, {"size": 2**62 - 1}),
        ({"size": 2**62}, {"size": None}),
        ({"size": 2**63}, {"size": None}),
        ({"size": 10**30}, {"size": None}),
        ({"size": 13.37}, {"size": None}),
        ({"size": "1337"}, {"size": None}),
        ({"size": True}, {"size": None}),
        # times
        ({"upload_time": "2026-11-19T07:03:28.866Z"}, {}),
        ({"upload_time": "2026-11-19T09:03:28.866000+02:00"}, {}),
        ({"upload_time": "2026-11-19T07:03:28.866000"}, {}),
        ({"upload_time": "1970-01-01T00:00:00Z"}, {"upload_time": datetime(1970, 1, 1, tzinfo=UTC)}),
        ({"upload_time": "1969-12-31T23:59:59Z"}, {"upload_time": None}),
        ({"upload_time": "2999-12-31T00:00:00Z"}, {"upload_time": datetime(2999, 12, 31, tzinfo=UTC)}),
        ({"upload_time": "3000-01-01T00:00:00Z"}, {"upload_time": None}),
        ({"upload_time": "yesterday"}, {"upload_time": None}),
        ({"upload_time": 1763535808}, {"upload_time": None}),
        ({"upload_time": "0001-01-01T00:00:00+14:00"}, {"upload_time": None}),
        ({"upload_time": "0900-01-01T00:00:00Z"}, {"upload_time": None}),
        ({"upload_time": "9999-12-31T23:59:59-14:00"}, {"upload_time": None}),
        ({"upload_time": "9999-12-31T23:59:59Z"}, {"upload_time": None}),
        # yanks
        ({"yanked": True}, {"yanked": ""}),
        ({"yanked": ""}, {"yanked": ""}),
        ({"yanked": " it burns\r\n "}, {"yanked": "it burns"}),
        ({"yanked": "<b>"}, {"yanked": "<b>"}),
        ({"yanked": ["odd"]}, {"yanked": ""}),
        ({"yanked": "x" * 10_000}, {"yanked": "x" * MAX_TEXT}),
        ({"yanked": "a\0b\x1bc\u202ed"}, {"yanked": "abcd"}),
        # specifiers
        ({"requires_python": ">3.8, <"}, {"requires_python": None}),
        ({"requires_python": ["3.8"]}, {"requires_python": None}),
        # core metadata: what cannot be checked is not passed on
        ({"core_metadata": True}, {"core_metadata": None}),
        ({"core_metadata": False}, {"core_metadata": None}),
        ({"core_metadata": None}, {"core_metadata": None}),
        ({"core_metadata": ...}, {"core_metadata": None}),
        ({"core_metadata": {"md5": "0"}}, {"core_metadata": None}),
        ({"core_metadata": ..., "dist_info_metadata": {"sha256": METADATA}}, {}),
        ({"dist_info_metadata": {"sha256": DIGEST}}, {}),
        # addresses
        ({"url": "../../files/x.whl"}, {"url": "https://index.example.org/files/x.whl"}),
        ({"url": "//files.example.org/spam-1.0-py3-none-any.whl"}, {}),
        ({"url": f"{FILES}/spam-1.0-py3-none-any.whl#sha256=00&x"}, {}),
        ({"url": "http://files.example.org/a.whl"}, {"url": "http://files.example.org/a.whl"}),
        # names
        ({"filename": "eggs-1.0-py3-none-any.whl"}, {"filename": "eggs-1.0-py3-none-any.whl", "version": None}),
        ({"filename": "spam.whl"}, {"filename": "spam.whl", "version": None}),
        (
            {"filename": "spam-1.0.tar.gz"},
            {"filename": "spam-1.0.tar.gz", "core_metadata": None},  # only wheels have core metadata
        ),
    ],
)
def test_files_come_out_clean(changes: dict[str, Any], cleaned: dict[str, Any] | str) -> None:
    """T-17.3: what an upstream says in an odd way is understood or unknown, never passed on as it is."""
    if isinstance(cleaned, str):
        cleaned = {"upload_time": None, "requires_python": None, "size": None, "yanked": None}
    assert parse(upstream_page(entry(**changes))).files == (replace(CLEAN, **cleaned),)


@pytest.mark.parametrize(
    "odd",
    [
        *(None, 5, "spam", [], {}, entry(filename=...), entry(url=...), entry(filename=None), entry(url=5)),
        *(entry(filename=name) for name in ("", "..", "../x.whl", "a/b.whl", "a\0.whl", "a\n.whl", "é.whl", 'a".whl')),
        *(entry(filename=name) for name in ("a<b>.whl", "a" * 300 + ".whl", "a b.whl", "a\x7f.whl")),
        *(
            entry(url=url)
            for url in ("javascript:alert(1)", "file:///etc/passwd", "data:,x", "gopher://x/", "ftp://x/")
        ),
        *(entry(url=url) for url in ("http://[::1/x", "https://ho\u2100st/x", "https://x/\0", "https://x/\x7f")),
        *(entry(url=url) for url in ("https://x/\u202e", "//[", "https://x/\x85y")),
    ],
    ids=repr,
)
def test_odd_files_are_left_out(odd: Any) -> None:
    """A file whose name or address cannot be handled safely costs nobody the rest of the page."""
    assert parse(upstream_page(odd, entry(), odd)).files == (CLEAN,)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"not an index", b"<html>", b"null", b"5", b'"spam"', b"[]", b"{}", b"\xff\xfe{}", b'{"meta": 1}'),
        *(b'{"meta":{"api-version":"1.0"}}', b'{"meta":{}}', b"[" * 100_000),
        upstream_page(meta={"api-version": "2.0"}),
        upstream_page(meta={"api-version": "10.0"}),
        upstream_page(meta={"api-version": []}),
        upstream_page(meta={"api-version": 2}),
        upstream_page(files={}),
        upstream_page(files=None),
        upstream_page(entry())[:-20],
        upstream_page(entry()).replace(b"1337", b"NaN"),
        upstream_page(entry()).replace(b"spam-1", b"\\ud800-1"),
        upstream_page(entry()).replace(b"spam-1", b"\xc3\x28-1"),
    ],
    ids=lambda body: repr(body[:40]),
)
def test_what_is_no_page_is_refused(body: bytes) -> None:
    """An answer that is no page of version 1 is an error of the upstream, and is told as one."""
    with pytest.raises(UpstreamMalformed, match=r"index\.example\.org"):
        parse(body)


@pytest.mark.parametrize(
    ("top", "status", "reason"),
    [
        ({}, "active", None),
        ({"project-status": {"status": "quarantined", "reason": "mal\nware"}}, "quarantined", "mal ware"),
        ({"project-status": {"status": "archived"}}, "archived", None),
        ({"project-status": {"status": "from-the-future", "reason": "?"}}, "active", "?"),
        ({"project-status": {"status": ["archived"], "reason": 5}}, "active", None),
        ({"project-status": None}, "active", None),
        ({"project-status": "archived"}, "active", None),
        ({"meta": {"api-version": "1.4", "project-status": {"status": "archived"}}}, "active", None),
        # Newer minor versions, serials that are texts, and whatever else stands there.
        ({"meta": {"api-version": "1.99", "_last-serial": "4711"}, "namespaces": [{}], "versions": 7}, "active", None),
    ],
)
def test_status(top: dict[str, Any], status: str, reason: str | None) -> None:
    """PEP 792: the one place of the status is read, and what is not known counts as active."""
    page = parse(upstream_page(entry(), **top))
    assert (page.status, page.status_reason, page.files) == (status, reason, (CLEAN,))


def test_a_key_given_twice() -> None:
    """Of a key given twice one value counts, and the page is read."""
    body = upstream_page(entry()).replace(b'"size": 1337', b'"size": 1, "size": 1337')
    assert parse(body).files == (CLEAN,)


def test_large_pages() -> None:
    """A page of ten thousand files is read whole."""
    files = [entry(filename=f"spam-1.{number}.tar.gz") for number in range(10_000)]
    assert [file.version for file in parse(upstream_page(*files)).files] == [f"1.{number}" for number in range(10_000)]


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
odd_urls = st.text(max_size=30) | st.text(max_size=20).map(lambda text: f"https://{text}") | json_values
odd_entries = st.fixed_dictionaries(
    {"filename": st.just("spam-1.0.zip") | json_values, "url": odd_urls},
    optional=dict.fromkeys(
        ("hashes", "size", "requires-python", "upload-time", "yanked", "core-metadata", "dist-info-metadata"),
        json_values,
    ),
)


@given(st.lists(odd_entries, max_size=3), json_values)
def test_any_json_comes_out_clean_or_malformed(files: list[dict[str, Any]], status: Any) -> None:
    """Whatever an upstream sends, what is kept of it can be stored and shown; nothing else is ever raised."""
    try:
        page = parse(upstream_page(*files, **{"project-status": status}))
    except UpstreamMalformed:
        return
    assert_clean(page)


def assert_clean(page: UpstreamPage) -> None:
    for file in page.files:
        assert file.filename.isascii()
        assert urlsplit(file.url).scheme in ("http", "https")
        for text in (file.filename, file.version, file.url, file.requires_python, file.yanked, page.status_reason):
            assert text is None or (text.isprintable() and text.encode().decode() == text)
        assert file.size is None or 0 <= file.size < 2**63
        assert file.upload_time is None or (file.upload_time + timedelta(days=3650)).tzinfo is UTC


# Upstreams', in HTML


def html_page(*anchors: str, head: str = "") -> bytes:
    return f"<!DOCTYPE html><html><head>{head}</head><body>{''.join(anchors)}</body></html>".encode()


def anchor(href: str = f"{FILES}/spam-1.0-py3-none-any.whl#sha256={DIGEST}", **attributes: str) -> str:
    named = {"href": href} | {key.replace("_", "-"): value for key, value in attributes.items()}
    return f"<a {' '.join(f'{key}="{escape(value)}"' for key, value in named.items())}>text</a>"


def parse_html(body: bytes, url: str = URL) -> UpstreamPage:
    return simple_html.parse_project(body, url, SPAM, None)


ZIP: dict[str, Any] = {"filename": "spam-1.0.zip", "sha256": None}
BARE = replace(CLEAN, size=None, upload_time=None, requires_python=None, core_metadata=None)


@pytest.mark.parametrize(
    ("written", "cleaned"),
    [
        (anchor(), {}),
        (
            anchor("../../f/spam-1.0-py3-none-any.whl"),
            {"url": "https://index.example.org/f/spam-1.0-py3-none-any.whl", "sha256": None},
        ),
        (anchor(f"{FILES}/spam-1.0.zip#md5={'0' * 32}"), "zip"),
        (anchor(f"{FILES}/spam-1.0.zip#sha256=zz"), "zip"),
        (anchor(f"{FILES}/spam-1.0-py3-none-any.whl#sha256={DIGEST}&egg=x"), {}),
        (anchor(f"{FILES}/spam-1.0-py3-none-any.whl#egg=spam&md5={'0' * 32}&sha256={DIGEST.upper()}"), {}),
        (anchor(f"{FILES}/spam-1.0-py3-none-any.whl#sha256=zz&sha256={DIGEST}"), {}),
        (anchor(f"{FILES}/spam-1.0.zip#egg=spam-1.0"), "zip"),
        (anchor(f"  {FILES}/spam-1.0.zip\n"), "zip"),
        (
            anchor(f"{FILES}/spam-1.0.zip?X-Sig=a%2Fb.whl&e=1#sha256=zz"),
            {"url": f"{FILES}/spam-1.0.zip?X-Sig=a%2Fb.whl&e=1", **ZIP},
        ),
        (
            anchor("?file=/x/y.whl&v=1/../spam-1.0.zip").replace('"?', f'"{FILES}/spam-1.0.zip?'),
            {"url": f"{FILES}/spam-1.0.zip?file=/x/y.whl&v=1/../spam-1.0.zip", **ZIP},
        ),
        (anchor(f"{FILES}/spam-1.0.zip"), "zip"),
        (anchor(data_requires_python=">=3.9"), {"requires_python": ">=3.9"}),
        (anchor(data_requires_python="", data_core_metadata=""), {}),
        (anchor(data_requires_python="three"), {}),
        (anchor(data_yanked=""), {"yanked": ""}),
        (anchor(data_yanked="<b>\x01burns"), {"yanked": "<b>burns"}),
        (anchor(data_core_metadata=f"sha256={METADATA}"), {"core_metadata": METADATA}),
        (anchor(data_dist_info_metadata=f"sha256={METADATA}"), {"core_metadata": METADATA}),
        (anchor(data_core_metadata=f"sha256={METADATA}", data_dist_info_metadata="true"), {"core_metadata": METADATA}),
        (anchor(data_core_metadata="true"), {}),
        (
            anchor(f"{FILES}/spam-1.0%2Blocal.zip"),
            {
                "filename": "spam-1.0+local.zip",
                "version": "1.0+local",
                "url": f"{FILES}/spam-1.0%2Blocal.zip",
                "sha256": None,
            },
        ),
    ],
)
def test_anchors_come_out_clean(written: str, cleaned: dict[str, Any] | str) -> None:
    """Anchors give what their URL and attributes say, and what cannot be understood is unknown."""
    if isinstance(cleaned, str):
        cleaned = {"url": f"{FILES}/spam-1.0.zip", **ZIP}
    assert parse_html(html_page(written)).files == (replace(BARE, **cleaned),)


@pytest.mark.parametrize(
    "odd",
    [
        *(
            "<a>no href</a>",
            anchor(""),
            anchor("#x"),
            anchor("/"),
            anchor("spam/"),
            anchor("javascript:alert(1)/a.whl"),
        ),
        *(anchor("file:///etc/spam-1.0.zip"), anchor("%2e%2e"), anchor("a%2fb.zip"), anchor("spam%00-1.0.zip")),
        *(anchor("spam-1.0.zip%22onclick="), anchor("https://x/%0aspam-1.0.zip")),
    ],
)
def test_odd_anchors_are_left_out(odd: str) -> None:
    """A link that is no file of ours costs nobody the rest of the page."""
    assert parse_html(html_page(odd, anchor(), odd)).files == (BARE,)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"not an index", b'{"meta": {"api-version": "1.0"}}'),
        html_page(anchor(), head='<meta name="pypi:repository-version" content="2.0">'),
        html_page(anchor(), head='<meta name="pypi:repository-version" content="new">'),
        b"<p>Please log in</p>",
        html_page('<form action="/login"><input name="user"></form>'),
        html_page("<script>location = '/login'</script>"),
        html_page(head='<meta http-equiv="Refresh" content="0; url=/login">'),
        html_page("<h1>Links for spam</h1>", '<a href="/login">log in</a>'),
        html_page("<h1>Links for spam</h1>", '<a href="https://example.org/">example</a>'),
        html_page("<h1>Welcome</h1>"),
        html_page('<a href="/about.html">about us</a>'),
    ],
    ids=lambda body: repr(body[:60]),
)
def test_what_is_no_html_page_is_refused(body: bytes) -> None:
    """What is no page of version 1 is told as an error of the upstream."""
    with pytest.raises(UpstreamMalformed, match=r"index\.example\.org"):
        parse_html(body)


@pytest.mark.parametrize(
    ("head", "status", "reason"),
    [
        ("", "active", None),
        ('<meta name="pypi:project-status" content="archived">', "archived", None),
        (
            """<meta name="pypi:project-status" content="quarantined">
            <meta name="pypi:project-status-reason" content="mal&#10;ware">""",
            "quarantined",
            "mal ware",
        ),
        ('<meta name="pypi:project-status" content="from-the-future">', "active", None),
        ('<meta name="pypi:repository-version" content="1.99">', "active", None),
    ],
)
def test_status_in_html(head: str, status: str, reason: str | None) -> None:
    """PEP 792: both forms of an upstream's page are understood alike."""
    page = parse_html(html_page(anchor(), head=head))
    assert (page.status, page.status_reason, page.files) == (status, reason, (BARE,))


def test_base_element() -> None:
    """Relative references are relative to the first `<base>`, as installers read them."""
    page = parse_html(html_page(anchor("a/spam-1.0.zip"), head=f'<base href="{FILES}/b/">'))
    assert page.files[0].url == f"{FILES}/b/a/spam-1.0.zip"


def test_an_empty_page_is_a_page() -> None:
    """A project without files has a page; HTML says so by its mark (PEP 629), or by listing nothing."""
    mark = '<meta name="pypi:repository-version" content="1.0">'
    folder = '<a href="../">../</a><a href="?C=N;O=D">Name</a>'
    for body in (
        html_page(head=mark),
        html_page(),
        html_page("<h1>Links for spam</h1>", head="<title>Links for spam</title><style>b { color: red }</style>"),
        html_page("<h1>Index of /simple/spam/</h1><hr><pre>", folder, "</pre>"),
        html_page("<h1>Links</h1>"),
    ):
        assert parse_html(body) == UpstreamPage(files=())
        assert parse_html(body).is_empty
    for json_body in (upstream_page(), b'{"files": []}', b'{"meta": [], "files": []}'):
        assert parse(json_body).is_empty
    assert not parse(upstream_page(**{"project-status": {"status": "quarantined"}})).is_empty
    assert not parse(upstream_page(5)).is_empty


def test_what_is_left_out_is_told() -> None:
    """Each file that a page lists and that is not kept is named with its cause, up to 200 of them."""
    page = parse(
        upstream_page(
            *(entry(), 5, entry(filename=...), entry(filename="../x.whl"), entry(filename="a\0b.whl", url="x")),
            *(entry(url="ftp://files.example.org/x"), entry(hashes={"sha256": METADATA}), entry(size=None)),
        )
    )
    assert [(file.name, file.cause) for file in page.left_out] == [
        ("(no name)", LeftOutCause.NO_FILE),
        ("(no name)", LeftOutCause.NO_FILE),
        ("../x.whl", LeftOutCause.UNSAFE_NAME),
        ("a\N{REPLACEMENT CHARACTER}b.whl", LeftOutCause.UNSAFE_NAME),
        ("spam-1.0-py3-none-any.whl", LeftOutCause.NO_ADDRESS),
        ("spam-1.0-py3-none-any.whl", LeftOutCause.LISTED_TWICE),
        ("spam-1.0-py3-none-any.whl", LeftOutCause.LISTED_TWICE),
    ]
    assert page.left_out_count == 7
    assert page.files == (replace(CLEAN, size=None),)
    html = parse_html(
        html_page(
            *(anchor(), anchor("spam-1.0.tar.gz.asc"), anchor(f"spam-1.0.rar#sha256={DIGEST}"), anchor("../")),
            *(anchor("http://[::1/spam-1.0.zip"), anchor("mailto:ada@example.org"), anchor("ftp://x/spam-1.0.zip")),
        )
    )
    assert [(file.name, file.cause) for file in html.left_out] == [
        ("spam-1.0.tar.gz.asc", LeftOutCause.UNKNOWN_ENDING),
        ("spam-1.0.rar", LeftOutCause.UNKNOWN_ENDING),
        ("spam-1.0.zip", LeftOutCause.NO_ADDRESS),
        ("ada@example.org", LeftOutCause.UNKNOWN_ENDING),
        ("spam-1.0.zip", LeftOutCause.NO_ADDRESS),
    ]
    many = parse(upstream_page(*[5] * 1000))
    assert (len(many.left_out), many.left_out_count) == (MAX_LEFT_OUT, 1000)


def test_one_bad_address_costs_nobody_the_page() -> None:
    """An address that nobody can parse is left out, and an impossible base is none."""
    assert parse_html(html_page(anchor("http://[::1/spam-1.0.zip"), anchor())).files == (BARE,)
    assert parse_html(html_page(anchor(), head='<base href="http://[">')).files == (BARE,)


CYRILLIC = "\u0441\u043f\u0430\u043c"


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        (html_page(anchor(data_yanked=CYRILLIC)), None),
        (b"\xef\xbb\xbf" + html_page(anchor(data_yanked=CYRILLIC)), "windows-1251"),
        (html_page(anchor(data_yanked=CYRILLIC)).decode().encode("cp1251"), "Windows-1251"),
        (html_page(anchor(data_yanked=CYRILLIC)).decode().encode("koi8-r"), '"koi8-r"'),
        (html_page(anchor(data_yanked=CYRILLIC), head='<meta charset="cp1251">').decode().encode("cp1251"), None),
        (
            html_page(
                anchor(data_yanked=CYRILLIC),
                head='<META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=windows-1251">',
            )
            .decode()
            .encode("cp1251"),
            "no-such-charset",
        ),
        (html_page(anchor(data_yanked=CYRILLIC)).decode().encode("utf-16"), None),
        (html_page(anchor(data_yanked=CYRILLIC), head='<meta charset="utf-16">'), None),
        (html_page(anchor(data_yanked=CYRILLIC), head='<meta charset="rot13">'), "unicode_escape"),
    ],
)
def test_html_in_any_encoding(body: bytes, charset: str | None) -> None:
    """The mark, the header and the page itself, in this order, say how it is encoded; codecs of no text are ignored."""
    assert simple_html.parse_project(body, URL, SPAM, None, charset).files == (replace(BARE, yanked=CYRILLIC),)


@pytest.mark.parametrize(
    ("encoding", "charset"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-16", None),
        ("utf-16-le", None),
        ("utf-32", None),
        ("utf-8", "latin-1"),
        ("cp1251", "cp1251"),
    ],
)
def test_json_in_any_encoding(encoding: str, charset: str | None) -> None:
    """JSON is UTF-8, with or without a mark; a charset in the header counts where it cannot be."""
    text = upstream_page(entry(yanked=...)).decode().replace('spam-1.0-py3-none-any.whl"', 'spam-1.0-py3-none-any.whl"')
    text = text.replace('"name": "spam"', f'"name": "{CYRILLIC}"')
    assert simple_json.parse_project(text.encode(encoding), URL, SPAM, None, charset).files == (CLEAN,)


@pytest.mark.parametrize(
    "meta", [..., None, {}, [], "1.0", {"api-version": None}, {"api-version": 1}, {"_last-serial": 5}]
)
def test_version_that_is_not_stated(meta: Any) -> None:
    """Installers read pages that state no version of the API, and so does Koschey."""
    body = json.loads(upstream_page(entry()))
    body = {key: value for key, value in body.items() if key != "meta"} | ({} if meta is ... else {"meta": meta})
    assert parse(json.dumps(body).encode()).files == (CLEAN,)


@given(st.lists(st.text(max_size=30), max_size=4), st.text(max_size=40))
def test_any_html_comes_out_clean_or_malformed(hrefs: list[str], garbage: str) -> None:
    """Whatever an upstream sends as HTML, what is kept of it can be stored and shown; nothing else is ever raised."""
    written = [anchor(href, data_yanked=garbage, data_requires_python=garbage) for href in hrefs]
    body = html_page(*written, garbage, head=f'<meta name="pypi:project-status-reason" content="{escape(garbage)}">')
    try:
        page = parse_html(body)
    except UpstreamMalformed:
        return
    assert_clean(page)


PARTS = st.sampled_from(["a", "..", ".", "", "b.whl", "%2B", ";p", "é", " ", "~", ".c"])
ORIGINS = st.sampled_from(
    ["", "https://h", "http://h:8", "HTTPS://h", "//h", "ftp://h", "https://u@h", "https://h:", "https://[::1]", "x:"]
)


@given(
    base=st.sampled_from(["https://index/simple/spam/", "http://index:8/a/../spam/", "https://i/%7e/?q#f"]),
    origin=ORIGINS,
    parts=st.lists(PARTS, max_size=5),
    tail=st.sampled_from(["", "?q=1", "#sha256=ab", "?", "#"]),
)
def test_plain_addresses_are_resolved_as_all_are(base: str, origin: str, parts: list[str], tail: str) -> None:
    """The short way finds the same URL as the library, and cleans it alike."""
    url = f"{origin}/{'/'.join(parts)}{tail}" if origin or parts else tail
    try:
        expected = urljoin(base, url)
    except ValueError:
        expected = url
    assert simple_json._absolute(base, url) == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cleaning, "PLAIN_URL", re.compile("(?!)"))
        cleaned = cleaning._clean_url(expected)
    assert cleaning._clean_url(expected) == cleaned


@given(st.text(max_size=40) | st.text(alphabet="ab \t\n\x1b", max_size=2100))
def test_printable_texts_are_cleaned_alike(text: str) -> None:
    """A text that has nothing to remove is the same as if all of it had been examined."""
    lines = " ".join(text.split())
    shown = "".join(letter for letter in lines if letter.isprintable())
    assert cleaning.clean_text(text) == (shown[:MAX_TEXT].strip() or None)
