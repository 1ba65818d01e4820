"""Our pages of the Simple API, as clients and other programs read them."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
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
from koschey.model import (
    AttestationVerdict,
    ProjectStatus,
    Serial,
    Sha256,
)
from koschey.standards import simple_html, simple_json
from koschey.standards.names import digest_path
from koschey.standards.project_page import ProjectPage
from koschey.standards.provenance import render_provenance
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
    own_addresses=st.sampled_from(
        [ROOT, f"{ROOT}/pypi", "http://localhost:8080", "http://koschey.example.org", ""]
    ).map(Addresses),
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


@given(our_pages)
def test_another_koschey_reads_our_html(page: ProjectPage) -> None:
    """Our own HTML, parsed as an upstream's, has the same files, hashes and yanks."""
    again = simple_html.parse_project(simple_html.render_project(page), f"{ROOT}/simple/spam/", SPAM, None)
    assert [(file.filename, file.sha256, file.yanked) for file in again.files] == [
        (file.filename, file.sha256, file.yanked) for file in page.files
    ]
    assert (again.status, again.status_reason) == (page.status, page.status_reason or None)
