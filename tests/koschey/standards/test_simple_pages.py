"""Pages of the Simple API: ours as clients read them, and upstreams' however broken they are."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from html import escape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import NormalizedName
from pypi_simple import DistributionPackage, RepositoryPage
from pypi_simple import ProjectPage as ParsedPage

from koschey.addresses import Addresses
from koschey.errors import UpstreamMalformed
from koschey.model import (
    AttestationVerdict,
    LeftOutCause,
    ProjectStatus,
    Serial,
    Sha256,
    UpstreamFile,
    UpstreamPage,
)
from koschey.standards import simple_html, simple_json
from koschey.standards.names import digest_path
from koschey.standards.project_page import ProjectPage
from koschey.standards.provenance import render_provenance
from koschey.standards.upstream_page import MAX_LEFT_OUT, MAX_TEXT
from tests.support.examples import DIGEST, METADATA, SPAM, WHEEL

URL = "https://index.example.org/simple/spam/"
FILES = "https://files.example.org"
ROOT = "https://koschey.example.org"
RECORD = render_provenance(f"{FILES}/spam.whl", Sha256("ab" * 32))
UPLOAD_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")

PAGE = ProjectPage(SPAM, Serial(4711), (WHEEL,))


def wheel(**changes: Any) -> ProjectPage:
    """A page with one wheel."""
    return replace(PAGE, files=(replace(WHEEL, **changes),))


def as_json(page: ProjectPage) -> Any:
    return json.loads(simple_json.render_project(page))


def as_html(page: ProjectPage) -> str:
    return simple_html.render_project(page).decode()


# Ours, in JSON


def test_json_page() -> None:
    """The page of a project has exactly the keys and types of the standard."""
    page = replace(PAGE, status=ProjectStatus.DEPRECATED, status_reason="use eggs")
    assert as_json(page) == {
        "meta": {"api-version": "1.4", "_last-serial": 4711},
        "name": "spam",
        "project-status": {"status": "deprecated", "reason": "use eggs"},
        "versions": ["1.0"],
        "files": [
            {
                "filename": "spam-1.0-py3-none-any.whl",
                "url": f"../../packages/ab/ab/{'ab' * 30}/spam-1.0-py3-none-any.whl",
                "hashes": {"sha256": DIGEST},
                "size": 1337,
                "requires-python": ">=3.9",
                "upload-time": "2026-11-19T07:03:28.866000Z",
                "yanked": False,
                "core-metadata": {"sha256": METADATA},
            }
        ],
    }


@pytest.mark.parametrize(
    ("changes", "key", "value"),
    [
        ({"size": None}, "size", ...),
        ({"size": 0}, "size", 0),
        ({"requires_python": None}, "requires-python", ...),
        ({"requires_python": ""}, "requires-python", ...),
        ({"core_metadata": None}, "core-metadata", ...),
        ({"yanked": ""}, "yanked", True),
        ({"yanked": "it burns"}, "yanked", "it burns"),
        ({"upload_time": None}, "upload-time", "2026-11-22T07:03:28.866000Z"),
        (
            {"upload_time": datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))},
            "upload-time",
            "2025-12-31T23:00:00.000000Z",
        ),
        (
            {"filename": "spam-1!2+l.whl", "path": "/packages/a/spam-1!2+l.whl"},
            "url",
            "../../packages/a/spam-1%212%2Bl.whl",
        ),
    ],
)
def test_what_is_unknown_is_left_out(changes: dict[str, Any], key: str, value: Any) -> None:
    """T-6.1: no null and no empty string, for either loses some client the whole page."""
    file = as_json(wheel(**changes))["files"][0]
    assert file.get(key, ...) == value


def test_quarantined_page() -> None:
    """T-13.1: a project without files is a page with a status and a reason, in both forms."""
    page = ProjectPage(SPAM, Serial(1), (), ProjectStatus.QUARANTINED, 'mal"ware')
    found = as_json(page)
    assert (found["files"], found["versions"]) == ([], [])
    assert found["project-status"] == {"status": "quarantined", "reason": 'mal"ware'}
    html = RepositoryPage.from_html(as_html(page))
    assert (html.status, html.status_reason, html.links) == ("quarantined", 'mal"ware', [])


def test_versions_are_sorted_as_versions() -> None:
    """Every file's version is listed once, oldest first, and what is no PEP 440 version before all others."""
    given_versions = ["1.10", "1.9", "0a1", "1.9", "2004d", "1.9rc1"]
    page = replace(PAGE, files=tuple(replace(WHEEL, version=version) for version in given_versions))
    assert as_json(page)["versions"] == ["2004d", "0a1", "1.9rc1", "1.9", "1.10"]


def test_project_list() -> None:
    """T-5.1: the list has an integer serial for each project, and relative references of one segment."""
    projects = [(SPAM, Serial(3)), (NormalizedName("eggs-ham"), Serial(5))]
    assert json.loads(simple_json.render_project_list(projects, Serial(5))) == {
        "meta": {"api-version": "1.4", "_last-serial": 5},
        "projects": [{"name": "spam", "_last-serial": 3}, {"name": "eggs-ham", "_last-serial": 5}],
    }
    html = simple_html.render_project_list(projects, Serial(5)).decode()
    page = RepositoryPage.from_html(html, base_url="https://koschey.example.org/simple/")
    assert page.repository_version == "1.4"
    assert [(link.text, link.url) for link in page.links] == [
        ("spam", "https://koschey.example.org/simple/spam/"),
        ("eggs-ham", "https://koschey.example.org/simple/eggs-ham/"),
    ]
    assert html.endswith("<!--SERIAL 5-->")


# Ours, in HTML


class Strict(HTMLParser):
    """Reads a page and complains of tags that do not match."""

    VOID = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.declared: list[str] = []

    def handle_decl(self, decl: str) -> None:
        self.declared.append(decl)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), attrs
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read_strictly(html: str) -> Strict:
    reader = Strict()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    assert reader.declared == ["DOCTYPE html"]
    return reader


def test_html_page() -> None:
    """T-7.1: HTML5, each anchor with the filename as its text and all that the standard puts into attributes."""
    html = as_html(wheel(yanked="", requires_python=">=3.9,<4"))
    read_strictly(html)
    assert '<meta name="pypi:repository-version" content="1.4">' in html
    assert '<meta name="pypi:project-status" content="active">' in html
    anchor = (
        f'<a href="../../packages/ab/ab/{"ab" * 30}/spam-1.0-py3-none-any.whl#sha256={DIGEST}" '
        'data-requires-python="&gt;=3.9,&lt;4" data-yanked="" '
        f'data-core-metadata="sha256={METADATA}" data-dist-info-metadata="sha256={METADATA}">'
        "spam-1.0-py3-none-any.whl</a>"
    )
    assert anchor in html
    assert html.endswith("<!--SERIAL 4711-->")


HOSTILE = '"><script>alert(1)</script><!-- \' & <a href="javascript:x">'


def test_nothing_breaks_out_of_html() -> None:
    """What strangers wrote stays text, wherever it stands."""
    page = replace(wheel(yanked=HOSTILE, requires_python=HOSTILE), status_reason=HOSTILE)
    html = as_html(page)
    assert read_strictly(html).seen.count("a") == 1
    assert "script" not in read_strictly(html).seen
    parsed = RepositoryPage.from_html(html)
    assert parsed.status_reason == HOSTILE
    assert parsed.links[0].attrs["data-yanked"] == HOSTILE


# Both of ours, as third parties read them

filenames = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,20}\.(whl|zip|tar\.gz)", fullmatch=True)
texts = st.text(st.characters(categories=["L", "N", "P", "S"], include_characters=" "), max_size=40).map(str.strip)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex).map(Sha256)
times = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
our_files = st.builds(
    lambda filename, sha256, **rest: replace(
        WHEEL, filename=filename, sha256=sha256, path=digest_path(sha256, filename), **rest
    ),
    filenames,
    digests,
    version=st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}(rc1|d)?", fullmatch=True),
    size=st.none() | st.integers(0, 2**62 - 1),
    upload_time=st.none() | times,
    requires_python=st.none() | texts,
    yanked=st.none() | texts,
    core_metadata=st.none() | digests,
    stored_at=st.none() | times,
    provenance_url=st.none() | st.just(f"{FILES}/provenance"),
    record=st.none() | st.just(RECORD),
    attestation=st.none() | st.sampled_from(AttestationVerdict),
)
our_pages = st.builds(
    ProjectPage,
    st.sampled_from([SPAM, NormalizedName("spam-2")]),
    st.integers(0, 2**62).map(Serial),
    st.lists(our_files, max_size=4, unique_by=lambda file: file.filename).map(tuple),
    st.sampled_from(ProjectStatus),
    st.none() | texts,
    ours=st.sampled_from([ROOT, f"{ROOT}/pypi", "http://localhost:8080", "http://koschey.example.org", ""]).map(
        Addresses
    ),
    upstream=st.none() | st.just(URL),
)


def facts(package: DistributionPackage) -> tuple[object, ...]:
    """What both forms can say."""
    return (
        package.filename,
        package.url.partition("#")[0],
        package.digests,
        package.requires_python or None,
        package.is_yanked,
        package.yanked_reason or None,
        package.metadata_digests or {},
        package.provenance_url,
    )


@given(our_pages)
def test_both_forms_say_the_same(page: ProjectPage) -> None:
    """T-7.2: JSON and HTML list the same files with the same hashes, yanks and specifiers, in the same order."""
    from_json = ParsedPage.from_json_data(as_json(page), base_url=f"{ROOT}/simple/spam/")
    html = as_html(page)
    read_strictly(html)
    from_html = ParsedPage.from_html(page.name, html, base_url=f"{ROOT}/simple/spam/")
    assert [facts(package) for package in from_json.packages] == [facts(package) for package in from_html.packages]
    assert [package.filename for package in from_json.packages] == [file.filename for file in page.files]
    assert (from_json.status, from_json.status_reason) == (from_html.status, from_html.status_reason)
    assert str(from_json.status) == str(page.status)
    assert (from_json.repository_version, from_html.repository_version) == ("1.4", "1.4")


STANDARD_KEYS = frozenset({"filename", "url", "hashes", "size", "requires-python", "upload-time", "yanked"}) | {
    "core-metadata",
    "provenance",
}


@given(our_pages)
def test_every_page_is_one_that_all_clients_read(page: ProjectPage) -> None:
    """T-2.2, T-2.3, T-3.1, T-3.2, T-6.1 to T-6.3 and T-8.2, for whatever stands in the database."""
    found = as_json(page)
    assert found["meta"]["api-version"] == "1.4"
    known = {"meta", "name", "project-status", "versions", "files"}
    assert {key for key in found if not key.startswith("_")} <= known
    assert {key for key in found["meta"] if not key.startswith("_")} == {"api-version"}
    for file in found["files"]:
        assert {key for key in file if not key.startswith("_")} <= STANDARD_KEYS
        assert None not in file.values()
        assert "" not in file.values()
        assert list(file["hashes"]) == ["sha256"]
        assert UPLOAD_TIME.fullmatch(file["upload-time"])
        assert type(file["yanked"]) in (bool, str)
        parts = urlsplit(file["url"])
        assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
        assert parts.path.startswith("../../packages/")
        assert unquote(parts.path.rpartition("/")[2]) == file["filename"]
        # PEP 740: absolute, on a secure origin, or not at all.
        assert file.get("provenance", "https://").startswith(("https://", "http://localhost:8080/"))
        assert file.get("_koschey", {}).get("provenance-url", json.loads(RECORD)) == json.loads(RECORD)
    versions = found["versions"]
    assert len(versions) == len(set(versions))
    assert set(versions) == {file.version for file in page.files}


@given(our_pages)
def test_another_koschey_reads_our_pages(page: ProjectPage) -> None:
    """What is rendered and parsed again is the same, but for what the cleaning of upstreams' pages takes away."""
    again = simple_json.parse_project(simple_json.render_project(page), f"{ROOT}/simple/spam/", page.name, '"e"')
    assert (again.status, again.status_reason, again.etag) == (page.status, page.status_reason or None, '"e"')
    assert len(again.files) == len(page.files)
    for parsed, file in zip(again.files, page.files, strict=True):
        assert (parsed.filename, parsed.sha256, parsed.size) == (file.filename, file.sha256, file.size)
        assert parsed.url.startswith(ROOT)
        assert parsed.upload_time == (file.upload_time or file.first_seen_at)
        assert parsed.yanked == file.yanked
        assert parsed.core_metadata == (file.core_metadata if file.filename.endswith(".whl") else None)


# Upstreams', in JSON


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


@given(our_pages)
def test_another_koschey_reads_our_html(page: ProjectPage) -> None:
    """Our own HTML, parsed as an upstream's, has the same files, hashes and yanks."""
    again = parse_html(simple_html.render_project(page), f"{ROOT}/simple/spam/")
    assert [(file.filename, file.sha256, file.yanked) for file in again.files] == [
        (file.filename, file.sha256, file.yanked) for file in page.files
    ]
    assert (again.status, again.status_reason) == (page.status, page.status_reason or None)
