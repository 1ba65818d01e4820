"""The JSON API: what it says of what is served, and that it says nothing else."""

import gzip
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from packaging.utils import NormalizedName

from koschey.addresses import Addresses
from koschey.model import Serial
from koschey.serving.cache import ProjectCache
from koschey.serving.documents import Document, document_of
from koschey.standards.core_metadata import read_core_metadata
from koschey.standards.project_json import find_version, latest_version, python_tag, releases_of, render_project
from koschey.standards.project_page import ProjectPage
from tests.support.archives import core_metadata, sdist
from tests.support.examples import WHEEL
from tests.support.koschey_up import JSON, Answer, Koschey, ask, wait_until
from tests.support.uploads import encoded, form, post
from tests.support.upstream.server import Upstream, UpstreamFile

ROOT = "https://koschey.example.org"
PAGE = ProjectPage(WHEEL.project, Serial(4711), (WHEEL,), own_addresses=Addresses(ROOT))
INFO = {
    *("name", "version", "summary", "description", "description_content_type", "keywords", "license"),
    *("license_expression", "license_files", "classifiers", "author", "author_email", "maintainer", "maintainer_email"),
    *("requires_python", "requires_dist", "provides_extra", "platform", "project_urls", "package_url", "project_url"),
    *("release_url", "home_page", "download_url", "docs_url", "bugtrack_url", "downloads", "dynamic", "yanked"),
    "yanked_reason",
}
FILE = {
    *("filename", "packagetype", "python_version", "comment_text", "has_sig", "md5_digest", "digests"),
    *("core-metadata", "size", "downloads", "upload_time", "upload_time_iso_8601", "url", "requires_python", "yanked"),
    "yanked_reason",
}
METADATA = read_core_metadata(
    b"""Metadata-Version: 2.4
Name: Spam
Version: 1.0
Summary: Spam and eggs
Keywords: spam,eggs
License-Expression: MIT
License-File: LICENSE
Classifier: Topic :: Utilities
Author-email: Ada <ada@example.org>
Requires-Python: >=3.9
Requires-Dist: eggs>=1
Requires-Dist: ham; extra == 'more'
Provides-Extra: more
Platform: linux
Platform: windows
Project-URL: Source, https://example.org/spam
Project-URL: without a comma
Dynamic: License-File
Description-Content-Type: text/markdown

# Spam
"""
)


def rendered(page: ProjectPage = PAGE, version: str = "1.0", *, all_releases: bool = True, known: bool = True) -> Any:
    """A document, parsed."""
    return json.loads(render_project(page, version, METADATA if known else None, all_releases=all_releases))


def test_keys_are_exactly_those_of_the_public_index() -> None:
    """No key is missing and none is added, with metadata or without."""
    for known in (True, False):
        document = rendered(known=known)
        assert set(document) == {"info", "last_serial", "releases", "urls", "vulnerabilities", "ownership"}
        assert set(document["info"]) == INFO
        assert set(document["urls"][0]) == FILE
    assert set(rendered(all_releases=False)) == {"info", "last_serial", "urls", "vulnerabilities", "ownership"}


def test_info_is_what_the_metadata_says() -> None:
    """Every field of the metadata is where its readers look for it."""
    info = rendered()["info"]
    assert info["name"] == "Spam"
    assert info["summary"] == "Spam and eggs"
    assert info["description"].strip() == "# Spam"
    assert info["requires_dist"] == ["eggs>=1", "ham; extra == 'more'"]
    assert info["provides_extra"] == ["more"]
    assert info["project_urls"] == {"Source": "https://example.org/spam"}
    assert info["platform"] == "linux, windows"
    assert info["classifiers"] == ["Topic :: Utilities"]
    assert info["license_files"] == ["LICENSE"]
    assert info["dynamic"] == ["License-File"]
    assert info["release_url"] == f"{ROOT}/pypi/spam/1.0/json"
    assert info["downloads"] == {"last_day": -1, "last_week": -1, "last_month": -1}
    assert info["home_page"] is None
    assert info["bugtrack_url"] is None


def test_info_without_metadata() -> None:
    """What only metadata could tell is null, and what the page tells is there."""
    info = rendered(known=False)["info"]
    assert (info["name"], info["version"], info["requires_python"]) == ("spam", "1.0", ">=3.9")
    assert info["classifiers"] == []
    nulls = {name for name, value in info.items() if value is None}
    assert nulls >= {"summary", "description", "requires_dist", "provides_extra", "project_urls", "dynamic", "platform"}


def test_file_object() -> None:
    """A file has the types that mirrors need: an absolute URL below /packages, digests that are known, two times."""
    (file,) = rendered()["urls"]
    assert urlsplit(file["url"]).path.startswith("/packages/")
    assert file["url"].startswith(ROOT)
    assert file["digests"] == {"sha256": WHEEL.sha256}
    assert file["md5_digest"] is None
    assert file["core-metadata"] == {"sha256": WHEEL.core_metadata}
    assert (file["packagetype"], file["python_version"]) == ("bdist_wheel", "py3")
    assert file["upload_time"] == "2026-11-19T07:03:28"
    assert file["upload_time_iso_8601"] == "2026-11-19T07:03:28.866000Z"
    assert (file["yanked"], file["yanked_reason"], file["has_sig"], file["downloads"]) == (False, None, False, -1)
    assert rendered()["releases"] == {"1.0": [file]}


def test_all_that_is_known_of_a_file() -> None:
    """All digests, the yank with its reason and the record of PEP 710 are there where they are known."""
    record = '{"url":"https://files.example.org/x","archive_info":{"hashes":{}}}'
    file = replace(WHEEL, md5="a" * 32, blake2b_256="b" * 64, yanked="broken", core_metadata=None, record=record)
    document = rendered(replace(PAGE, files=(file,)))
    (found,) = document["urls"]
    assert found["digests"] == {"md5": "a" * 32, "sha256": WHEEL.sha256, "blake2b_256": "b" * 64}
    assert found["md5_digest"] == "a" * 32
    assert found["core-metadata"] is False
    assert (found["yanked"], found["yanked_reason"]) == (True, "broken")
    assert (document["info"]["yanked"], document["info"]["yanked_reason"]) == (True, "broken")
    assert found["_koschey"]["provenance-url"] == json.loads(record)
    assert found["_koschey"]["record"] == found["url"] + ".provenance_url.json"


def test_release_is_yanked_when_all_files_are() -> None:
    """One file that is not yanked keeps its release from being so."""
    other = replace(WHEEL, filename="spam-1.0.tar.gz", yanked="")
    assert rendered(replace(PAGE, files=(WHEEL, other)))["info"]["yanked"] is False
    both = rendered(replace(PAGE, files=(replace(WHEEL, yanked=""), other)))["info"]
    assert (both["yanked"], both["yanked_reason"]) == (True, None)


@pytest.mark.parametrize(
    ("versions", "latest"),
    [
        ({}, None),
        ({"1.0": False, "1.10": False, "1.9": False}, "1.10"),
        ({"1.0": False, "2.0a1": False}, "1.0"),
        ({"1.0a1": False, "1.0a2": False}, "1.0a2"),
        ({"1.0": False, "2.0": True}, "1.0"),
        ({"1.0a1": False, "2.0": True}, "1.0a1"),
        ({"1.0": True, "2.0": True}, "2.0"),
        ({"1.0.post1": False, "1.0": False}, "1.0.post1"),
        ({"r5-odd": False, "0.1a1": False}, "0.1a1"),
        ({"r5-odd": False}, "r5-odd"),
    ],
)
def test_latest_version(versions: dict[str, bool], latest: str | None) -> None:
    """What is not yanked before what is, final before pre-release, then the highest."""
    assert latest_version(versions) == latest


@pytest.mark.parametrize(
    ("asked", "found"), [("1.0", "1"), ("1", "1"), ("2.0rc1", "2rc1"), ("v1", "1"), ("3", None), ("x", "x"), ("", None)]
)
def test_version_is_matched_canonically(asked: str, found: str | None) -> None:
    """`1.0` finds `1`, and what is no version finds only itself."""
    assert find_version(["1", "2rc1", "x"], asked) == found


@pytest.mark.parametrize(
    ("filename", "tag"),
    [
        ("spam-1.0-py2.py3-none-any.whl", "py2.py3"),
        ("spam-1.0-1-cp312-cp312-manylinux_2_17_x86_64.whl", "cp312"),
        ("spam-1.0.tar.gz", "source"),
        ("spam-1.0.zip", "source"),
        ("spam-1.0-py2.7.egg", "2.7"),
        ("spam-1.0.win32-py2.6.exe", "2.6"),
        ("spam-1.0.win32.exe", "any"),
    ],
)
def test_python_tag(filename: str, tag: str) -> None:
    """A file's Python version is its tag, or `source`."""
    assert python_tag(filename) == tag


def test_releases_are_in_order() -> None:
    """Releases stand in the order of their versions, not in that of their files."""
    files = [replace(WHEEL, version=version) for version in ("1.10", "1.9", "odd", "1.10")]
    assert [(version, len(each)) for version, each in releases_of(files).items()] == [
        ("odd", 1),
        ("1.9", 1),
        ("1.10", 2),
    ]


# The cache


def test_document_is_forgotten_with_its_project() -> None:
    """A change of a project forgets all its documents; of a pattern, or a lost connection, all there are."""
    trusted = True
    cache = ProjectCache[Document](lambda: trusted, limit=10**6)
    spam, eggs = NormalizedName("spam"), NormalizedName("eggs")
    document = document_of(Serial(1), b"x")

    def kept() -> list[tuple[str, str]]:
        return [(name, key) for name in (spam, eggs) for key in ("", "1") if cache.get(name, key)]

    def fill() -> None:
        for name, key in ((spam, ""), (spam, "1"), (eggs, "")):
            cache.put(name, document, cache.changes, key)

    fill()
    assert kept() == [("spam", ""), ("spam", "1"), ("eggs", "")]
    before = cache.changes
    cache.forget("spam")
    cache.put(spam, document, before)
    assert kept() == [("eggs", "")]
    fill()
    cache.forget("eg-*")
    assert kept() == []
    fill()
    trusted = False
    assert kept() == []
    cache.put(spam, document, cache.changes, "2")
    trusted = True
    assert cache.get(spam, "2") is None
    cache.put(spam, document_of(Serial(1), b"x", lasts=-1), cache.changes, "3")
    assert cache.get(spam, "3") is None


def test_cache_has_a_limit() -> None:
    """The least recently used projects leave when memory is full, whatever was put in their place before."""
    cache = ProjectCache[Document](lambda: True, limit=100)
    names = [NormalizedName(f"p{number}") for number in range(4)]
    for name in names:
        for size in (5, 10):
            cache.put(name, document_of(Serial(1), b"x" * size), cache.changes)
        cache.put(name, document_of(Serial(1), b"x" * 10), cache.changes, "1")
    assert [bool(cache.get(name, "")) for name in names] == [False, False, True, True]


# Over HTTP


def get(koschey: Koschey, path: str, **headers: str) -> Answer:
    """Ask for a document."""
    return ask(f"{koschey.url}/pypi/{path}", timeout=60, **headers)


def listed_serial(koschey: Koschey, project: str) -> int:
    """The serial of a project in the project list."""
    projects = ask(koschey.index_url, Accept=JSON).json["projects"]
    return int(next(each["_last-serial"] for each in projects if each["name"] == project))


def test_mirrored_project(koschey: Koschey, upstream: Upstream) -> None:
    """A project never seen before is found, described from its wheel's metadata, and can be mirrored from here."""
    files = [
        upstream.add("jf-mirrored", version, requires=["eggs>=1"], requires_python=">=3.8")
        for version in ("1.0", "1.1", "2.0a1")
    ]
    answer = get(koschey, "jf-mirrored/json")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert "access-control-allow-origin" not in answer.headers  # private names, read from inside the company
    document = answer.json
    assert document["last_serial"] == int(answer.headers["x-pypi-last-serial"]) >= listed_serial(koschey, "jf-mirrored")
    info = document["info"]
    assert (info["name"], info["version"], info["summary"]) == ("jf-mirrored", "1.1", "jf-mirrored for tests")
    assert (info["requires_dist"], info["requires_python"]) == (["eggs>=1"], ">=3.8")
    assert list(document["releases"]) == ["1.0", "1.1", "2.0a1"]
    for file in files:
        (found,) = document["releases"][file.version]
        assert found["filename"] == file.filename
        assert found["digests"]["sha256"] == file.sha256
        assert found["size"] == file.size
        assert urlsplit(found["url"]).path.startswith("/packages/")
        assert ask(found["url"]).body == file.content
        metadata = ask(f"{found['url']}.metadata").body
        assert hashlib.sha256(metadata).hexdigest() == found["core-metadata"]["sha256"]
    assert document["urls"] == document["releases"]["1.1"]


def test_every_address_of_a_document(koschey: Koschey, upstream: Upstream) -> None:
    """With and without a final slash, of the project and of a version in any spelling, by GET and HEAD."""
    upstream.add("jf-address", "1")
    upstream.add("jf-address", "2.5")
    for slash in ("", "/"):
        assert get(koschey, f"jf-address/json{slash}").json["info"]["version"] == "2.5"
        release = get(koschey, f"jf-address/1.0.0/json{slash}")
        assert release.json["info"]["version"] == "1"
        assert "releases" not in release.json
        head = ask(f"{koschey.url}/pypi/jf-address/json{slash}", method="HEAD")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == str(len(get(koschey, "jf-address/json").body))
    for path in ("jf-address/9/json", "jf-address/not a version/json".replace(" ", "%20"), "jf-nothing/json"):
        answer = get(koschey, path)
        assert (answer.status, answer.json) == (404, {"message": "Not Found"})
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("Jf_Address/json", "jf-address/json"),
        ("jf.address/json/?a=1&b=2", "jf-address/json/?a=1&b=2"),
        ("JF-address/1.0/json", "jf-address/1.0/json"),
        ("jf__address/1%2B2/json", "jf-address/1%2B2/json"),
    ],
)
def test_unnormalised_name_is_redirected(koschey: Koschey, path: str, target: str) -> None:
    """A name that is not normalised is moved for good; version, slash and query are kept."""
    connection = HTTPConnection(urlsplit(koschey.url).netloc, timeout=30)
    try:
        connection.request("GET", f"/pypi/{path}")
        response = connection.getresponse()
        assert response.status == 301
        location = urlsplit(str(response.headers["Location"]))
        assert f"{location.path}{f'?{location.query}' if location.query else ''}" == f"/pypi/{target}"
    finally:
        connection.close()


def test_validators_and_compression(koschey: Koschey, upstream: Upstream) -> None:
    """A strong ETag for each coding answers 304, and none of them after a change."""
    upstream.add("jf-etag", "1.0")
    plain = get(koschey, "jf-etag/json")
    packed = get(koschey, "jf-etag/json", Accept_Encoding="gzip")
    assert json.loads(gzip.decompress(packed.body)) == plain.json
    assert packed.headers["content-encoding"] == "gzip"
    etags = {plain.headers["etag"], packed.headers["etag"]}
    assert len(etags) == 2
    assert not any(etag.startswith("W/") for etag in etags)
    for etag, coding in ((plain.headers["etag"], "identity"), (packed.headers["etag"], "gzip")):
        again = get(koschey, "jf-etag/json", If_None_Match=etag, Accept_Encoding=coding)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", etag)
        # A cache would put what is said here into the answer that it keeps (RFC 9111, 4.3.4).
        assert not {"content-type", "content-length"} & set(again.headers)
    koschey.run("block", "jf-etag==1.0", "--reason", "a test")
    wait_until(lambda: get(koschey, "jf-etag/json", If_None_Match=plain.headers["etag"]).status == 404)


def fresh(upstream: Upstream, project: str, version: str) -> UpstreamFile:
    """A release that was uploaded an hour ago."""
    return upstream.add(project, version, upload_time=datetime.now(UTC) - timedelta(hours=1))


def test_held_and_blocked_files_are_in_no_document(koschey: Koschey, upstream: Upstream) -> None:
    """Not their names, digests or versions; and a project of which nothing is served is not found."""
    upstream.add("jf-quarantine", "1.0")
    held = fresh(upstream, "jf-quarantine", "6.6.6")
    blocked = upstream.add("jf-quarantine", "7.7.7")
    koschey.page("jf-quarantine")
    koschey.run("block", "jf-quarantine==7.7.7", "--reason", "malware")
    wait_until(lambda: b"7.7.7" not in get(koschey, "jf-quarantine/json").body)
    body = get(koschey, "jf-quarantine/json").body
    for file in (held, blocked):
        assert file.version.encode() not in body
        assert file.sha256.encode() not in body
        assert get(koschey, f"jf-quarantine/{file.version}/json").status == 404
    fresh(upstream, "jf-held", "6.6.6")
    assert get(koschey, "jf-held/json").status == 404
    koschey.run("approve", "jf-quarantine==6.6.6", "--reason", "seen")
    wait_until(lambda: get(koschey, "jf-quarantine/json").json["info"]["version"] == "6.6.6")


def test_quarantined_project_is_not_found(koschey: Koschey, upstream: Upstream) -> None:
    """What the upstream quarantines has no document, though it had one before."""
    upstream.add("jf-gone", "1.0")
    assert get(koschey, "jf-gone/json").status == 200
    upstream.set_status("jf-gone", "quarantined", "malware")
    wait_until(lambda: (koschey.page("jf-gone"), get(koschey, "jf-gone/json"))[1].status == 404)


def test_upstream_without_metadata(koschey: Koschey, upstream: Upstream) -> None:
    """An upstream that gives neither the metadata nor the wheel leaves a description without them, not an error."""
    upstream.add("jf-poor", "1.0", requires_python=">=3.8")
    upstream.fault("jf_poor-*", status=500)
    document = get(koschey, "jf-poor/json").json
    info = document["info"]
    assert (info["name"], info["version"], info["summary"]) == ("jf-poor", "1.0", None)
    assert info["requires_python"] == ">=3.8"
    assert len(document["urls"]) == 1


def test_other_bytes_are_no_metadata(koschey: Koschey, upstream: Upstream) -> None:
    """Metadata that do not have the digest of the page are not shown; those of the wheel are."""
    upstream.add("jf-forged", "1.0")
    upstream.fault("jf_forged-*.metadata", body=core_metadata("jf-forged", "1.0").replace(b"for tests", b"forged"))
    assert get(koschey, "jf-forged/json").json["info"]["summary"] == "jf-forged for tests"


def test_upstream_down_is_no_404(koschey: Koschey, upstream: Upstream) -> None:
    """A project that was never seen is unavailable while the upstream is, and not missing."""
    upstream.fault("/simple/jf-unseen/", status=503)
    assert get(koschey, "jf-unseen/json").status == 503


def test_hosted_sdist(koschey: Koschey) -> None:
    """A private project is described from the PKG-INFO of its sdist, with all digests of the upload."""
    name, content = sdist("jf-hosted", "1.0", requires=["eggs"])
    assert post(koschey, encoded(form(name, content), name, content)).status == 200
    document = wait_until(lambda: (answer := get(koschey, "jf-hosted/json")).status == 200 and answer.json)
    assert document["info"]["summary"] == "jf-hosted for tests"
    assert document["info"]["requires_dist"] == ["eggs"]
    (file,) = document["urls"]
    assert (file["packagetype"], file["python_version"], file["core-metadata"]) == ("sdist", "source", False)
    assert file["digests"] == {
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "blake2b_256": hashlib.blake2b(content, digest_size=32).hexdigest(),
    }


@pytest.mark.parametrize("name", ["%00", "..%2f..", "a%0d%0aSet-Cookie:x", "-", "%C3%A9", "a" * 300])
def test_what_is_no_name_is_refused(koschey: Koschey, name: str) -> None:
    """A name that is none is 400 or 404, whatever is in it."""
    for path in (f"{name}/json", f"{name}/1.0/json", f"jf-address/{name}/json"):
        answer = get(koschey, path)
        assert answer.status in (400, 404)
        assert "set-cookie" not in answer.headers
