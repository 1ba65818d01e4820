"""Sections 6, 7 and 8.2: what a project's page says of its files, in both forms."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from packaging.utils import canonicalize_name
from packaging.version import Version

from koschey.conformance.checks import check, require, require_none, skip
from koschey.conformance.subject import ExaminedPage, FileEntry, Subject
from koschey.standards.names import version_of
from koschey.standards.versions import parse_version_or_none

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


def _files(subject: Subject) -> list[FileEntry]:
    if not (files := list(subject.files)):
        skip("no page lists a file in JSON")
    return files


def _faults(keys: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the types of one file's keys."""
    for key in ("filename", "url"):
        if not isinstance(keys.get(key), str):
            yield f"{key} is {keys.get(key)!r}"
    if type(keys.get("size")) is not int:
        yield f"size is {keys['size']!r}" if "size" in keys else "size is missing"
    if keys.get("upload-time", ...) in (None, ""):
        yield f"upload-time is {keys['upload-time']!r}"
    yanked = keys.get("yanked", False)
    if not isinstance(yanked, bool) and not (isinstance(yanked, str) and yanked):
        yield f"yanked is {yanked!r}"
    if keys.get("requires-python", ...) == "":
        yield "requires-python is ''"


@check("T-6.1", "Size, upload-time, yanked and project-status are never null or empty, and every file has a size.")
async def nothing_is_null(subject: Subject) -> str | None:
    """Some clients refuse a whole page for a single null."""
    if not subject.pages:
        skip("no project is listed; name one with --project")
    for page in subject.pages:
        require(page.json, f"{page.url} answered {page.answer.status} {page.answer.content_type} to a request for JSON")
        status = page.json.get("project-status", {"status": "active"})
        require(isinstance(status, dict) and status.get("status"), f"{page.url}: project-status is {status!r}")
    require_none(
        [f"{file.filename}: {fault}" for file in subject.files for fault in _faults(file.keys)],
        "a key that clients cannot read",
    )
    return f"{len(list(subject.files))} files"


@check("T-6.2", "Every file has a sha256, and no other hash.")
async def hashes_are_sha256(subject: Subject) -> str | None:
    """Clients do not agree on what other names mean."""
    files = _files(subject)
    wrong = [f"{file.filename}: {file.keys.get('hashes')!r}" for file in files if not _is_sha256(file.keys)]
    require_none(wrong, "hashes other than one sha256")
    return f"{len(files)} files"


def _is_sha256(keys: dict[str, Any]) -> bool:
    hashes = keys.get("hashes")
    return (
        isinstance(hashes, dict)
        and list(hashes) == ["sha256"]
        and re.fullmatch(r"[0-9a-f]{64}", str(hashes["sha256"])) is not None
    )


@check("T-6.3", "The version of every file is among the page's versions.")
async def versions_are_complete(subject: Subject) -> str | None:
    """PEP 700: `versions` must contain all of them."""
    _files(subject)
    for page in subject.pages:
        stated = page.json.get("versions")
        require(isinstance(stated, list), f"{page.url}: versions is {stated!r}")
        versions = {_canonical(str(version)) for version in stated or ()}
        found = {version_of(file.filename, canonicalize_name(page.name)) for file in page.files} - {None}
        require_none(
            [str(version) for version in found if _canonical(str(version)) not in versions],
            f"{page.url} lists files of a version that it does not name",
        )
    return None


def _canonical(version: str) -> Version | str:
    return parse_version_or_none(version) or version


@check("T-7.1", "HTML pages are valid HTML5, and the text of each link is the last segment of its URL.")
async def html_is_valid(subject: Subject) -> str | None:
    """PEP 503: "the text of the anchor tag MUST match the final path component (the filename) of the URL"."""
    if not subject.pages:
        skip("no project is listed; name one with --project")
    for page in subject.pages:
        require(page.html_answer.status == 200, f"{page.url} as text/html answered {page.html_answer.status}")
        require_none(page.html.faults, f"{page.url}")
        require_none(
            [anchor.text for anchor in page.html.anchors if _basename(anchor.attributes) != anchor.text],
            f"{page.url} has a link whose text is not the end of its URL",
        )
    return f"{len(subject.pages)} pages"


def _basename(attributes: dict[str, str]) -> str:
    return unquote(urlsplit(attributes.get("href", "")).path).rpartition("/")[2]


@check("T-7.2", "Both forms of a page list the same files, with the same hashes and yanks.")
async def forms_agree(subject: Subject) -> str | None:
    """A client must get the same files in every form."""
    if not any(page.json and page.html.anchors for page in subject.pages):
        skip("no page has files in both forms")
    for page in subject.pages:
        as_json, as_html = sorted(_from_json(page)), sorted(_from_html(page))
        require_none(
            [filename for filename, *_ in set(as_json) ^ set(as_html)],
            f"the forms of {page.url} differ in",
        )
    return f"{len(list(subject.files))} files"


def _from_json(page: ExaminedPage) -> Iterator[tuple[str, str, str, str]]:
    for file in page.files:
        hashes, yanked = file.keys.get("hashes"), file.keys.get("yanked", False)
        sha256 = hashes.get("sha256", "") if isinstance(hashes, dict) else ""
        shown = "" if yanked is True else str(yanked) if yanked else "no"
        yield file.filename, file.url, str(sha256), shown


def _from_html(page: ExaminedPage) -> Iterator[tuple[str, str, str, str]]:
    base = urljoin(page.html_answer.url, page.html.base or "")
    for anchor in page.html.anchors:
        url, _, fragment = urljoin(base, anchor.attributes.get("href", "")).partition("#")
        sha256 = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else ""
        yield anchor.text, url, sha256, anchor.attributes.get("data-yanked", "no")


@check("T-8.2", "Every file has an upload-time in UTC, with at most six digits of a second.")
async def upload_times_are_given(subject: Subject) -> str | None:
    """One file without it stops a client that uses a cool-down."""
    files = _files(subject)
    wrong = [
        f"{file.filename}: {file.keys.get('upload-time')!r}"
        for file in files
        if not TIME.fullmatch(str(file.keys.get("upload-time")))
    ]
    require_none(wrong, "no upload-time in the form of PEP 700")
    return f"{len(files)} files"
