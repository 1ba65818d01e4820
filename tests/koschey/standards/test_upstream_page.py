"""Pages of upstreams in JSON, and in either form: what is kept of them, and what is left out."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschey.errors import UpstreamMalformed
from koschey.model import LeftOutCause, UpstreamPage
from koschey.standards import simple_json
from koschey.standards.upstream_page import MAX_LEFT_OUT, MAX_TEXT
from tests.support.examples import DIGEST, METADATA, SPAM
from tests.support.upstream_pages import (
    CLEAN,
    CYRILLIC,
    FILES,
    URL,
    anchor,
    assert_clean,
    entry,
    html_page,
    parse_html,
    parse_json,
    upstream_page,
)


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
    assert parse_json(upstream_page(entry(**changes))).files == (replace(CLEAN, **cleaned),)


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
    assert parse_json(upstream_page(odd, entry(), odd)).files == (CLEAN,)


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
        parse_json(body)


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
    page = parse_json(upstream_page(entry(), **top))
    assert (page.status, page.status_reason, page.files) == (status, reason, (CLEAN,))


def test_a_key_given_twice() -> None:
    """Of a key given twice one value counts, and the page is read."""
    body = upstream_page(entry()).replace(b'"size": 1337', b'"size": 1, "size": 1337')
    assert parse_json(body).files == (CLEAN,)


def test_large_pages() -> None:
    """A page of ten thousand files is read whole."""
    files = [entry(filename=f"spam-1.{number}.tar.gz") for number in range(10_000)]
    assert [file.version for file in parse_json(upstream_page(*files)).files] == [
        f"1.{number}" for number in range(10_000)
    ]


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
        page = parse_json(upstream_page(*files, **{"project-status": status}))
    except UpstreamMalformed:
        return
    assert_clean(page)


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
    assert parse_json(json.dumps(body).encode()).files == (CLEAN,)


# Both forms


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
        assert parse_json(json_body).is_empty
    assert not parse_json(upstream_page(**{"project-status": {"status": "quarantined"}})).is_empty
    assert not parse_json(upstream_page(5)).is_empty


def test_what_is_left_out_is_told() -> None:
    """Each file that a page lists and that is not kept is named with its cause, up to 200 of them."""
    page = parse_json(
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
    many = parse_json(upstream_page(*[5] * 1000))
    assert (len(many.left_out), many.left_out_count) == (MAX_LEFT_OUT, 1000)
