"""The Simple API in JSON (PEP 691, 700, 714, 792): renders Koschey's pages, and parses those of upstreams."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin

import msgspec
from packaging.utils import NormalizedName

from koschey.errors import UpstreamMalformed
from koschey.model import File, LeftOutCause, LeftOutFile, ProjectStatus, Serial, UpstreamFile, UpstreamPage
from koschey.standards.charsets import decode_json
from koschey.standards.names import PLAIN_URL
from koschey.standards.project_page import API_VERSION, ProjectPage, yank_reason
from koschey.standards.upstream_page import clean_digest, clean_file, clean_text, clean_time, left_out, page_of
from koschey.texts import on_one_line

PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+")
"""Absolute paths without dot segments, empty segments, and anything that is percent-encoded."""


def render_project(page: ProjectPage) -> bytes:
    """Render a project's page. No key is ever null, because some clients would refuse the whole page."""
    status = {"status": page.status, **({"reason": on_one_line(page.status_reason)} if page.status_reason else {})}
    return msgspec.json.encode(
        {
            "meta": {"api-version": API_VERSION, "_last-serial": page.serial},
            "name": page.name,
            "project-status": status,
            "versions": page.versions,
            "files": [_file(file, page) for file in page.listed],
        }
    )


def render_project_list(projects: Iterable[tuple[NormalizedName, Serial]], serial: Serial) -> bytes:
    """Render the project list. Mirrors need the integer `_last-serial` of each project."""
    return msgspec.json.encode(
        {
            "meta": {"api-version": API_VERSION, "_last-serial": serial},
            "projects": [{"name": name, "_last-serial": changed} for name, changed in projects],
        }
    )


def _file(file: File, page: ProjectPage) -> dict[str, object]:
    # PEP 700: if the upstream states no upload time, the page has the time of first sight: cool-downs need one.
    fields: dict[str, object] = {
        "filename": file.filename,
        "url": page.link_to(file),
        # Only sha256: other names of hashlib mean other lengths to some clients.
        "hashes": {"sha256": file.sha256},
        "upload-time": format_time(file.upload_time or file.first_seen_at),
        # PEP 592: "may be either a boolean or an arbitrary string"; clients read an empty string both ways.
        "yanked": False if file.yanked is None else (yank_reason(file) or True),
    }
    if file.size is not None:
        fields["size"] = file.size
    if file.requires_python:
        fields["requires-python"] = file.requires_python
    if file.core_metadata:
        fields["core-metadata"] = {"sha256": file.core_metadata}
    if provenance := page.provenance_of(file):
        fields["provenance"] = provenance
    return fields | private_fields(file, page)


def private_fields(file: File, page: ProjectPage) -> dict[str, object]:
    """Return the facts of a file for which no standard has a key, under the key `_koschey`; empty if there are none.

    PEP 691 leaves keys that begin with an underscore to each index.
    """
    if not file.record and not file.attestation:
        return {}
    fields: dict[str, object] = {}
    if file.record:
        # A PEP 710 record has no other keys, so further facts are beside it.
        fields |= {"provenance-url": msgspec.Raw(file.record.encode()), "record": page.record_of(file)}
    if page.upstream:
        fields["upstream-index"] = page.upstream
        fields["first-seen"] = format_time(file.first_seen_at)
    if file.stored_at:
        fields["fetched-at"] = format_time(file.stored_at)
    if file.attestation:
        fields["attestation"] = file.attestation
    return {"_koschey": fields}


def format_time(time: datetime) -> str:
    """Return a time as in PEP 700: `yyyy-mm-ddThh:mm:ss.ffffffZ`, always UTC."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def parse_project(
    body: bytes, url: str, project: NormalizedName, etag: str | None, charset: str | None = None
) -> UpstreamPage:
    """Parse an upstream's page, and remove what would harm clients.

    Raises `UpstreamMalformed` if it is not a PEP 691 page. A single unusable file is left out, or is not served.
    """
    try:
        page = msgspec.json.decode(decode_json(body, charset))
        files = page["files"]
    except (msgspec.DecodeError, UnicodeError, KeyError, TypeError, RecursionError) as error:
        raise UpstreamMalformed(f"{url} answered with JSON that is not an index page: {error}") from None
    version = _stated_version(page.get("meta"))
    # PEP 691: "clients MUST fail if the major version is greater than the one they support".
    if version.partition(".")[0] != "1":
        raise UpstreamMalformed(f"{url} speaks version {version[:40]} of the Simple API, not 1.x")
    if not isinstance(files, list):
        raise UpstreamMalformed(f"{url} answered with JSON that is not an index page: its files are not a list")
    status = page.get("project-status")
    return page_of(
        (_parse_file(file, url, project) for file in files), _parse_status(status), _parse_reason(status), etag
    )


def _stated_version(meta: Any) -> str:
    """Return the API version that a page states, or 1.0 if it states none, because installers do not need it."""
    version = meta.get("api-version") if isinstance(meta, dict) else None
    return "1.0" if version is None else str(version)


def _parse_file(file: Any, base: str, project: NormalizedName) -> UpstreamFile | LeftOutFile:
    filename, url = (file.get("filename"), file.get("url")) if isinstance(file, dict) else (None, None)
    if not isinstance(filename, str) or not isinstance(url, str):
        return left_out(filename, LeftOutCause.NO_FILE)
    hashes = file.get("hashes")
    yanked = file.get("yanked", False)
    size = file.get("size")
    provenance = file.get("provenance")
    return clean_file(
        project,
        filename=filename,
        url=_absolute(base, url),
        sha256=clean_digest(hashes.get("sha256") if isinstance(hashes, dict) else None),
        size=size if type(size) is int and 0 <= size < 2**62 else None,
        upload_time=clean_time(file.get("upload-time")),
        requires_python=clean_text(file.get("requires-python")),
        yanked=None if yanked in (False, None) else (yanked if isinstance(yanked, str) else ""),
        # PEP 714: `core-metadata` first, then the name that PEP 658 used by mistake.
        core_metadata=_parse_metadata(file.get("core-metadata", file.get("dist-info-metadata"))),
        provenance_url=provenance if isinstance(provenance, str) else None,
    )


def _absolute(base: str, url: str) -> str:
    """Resolve a file's URL. An invalid one is returned as it is, and the cleaning drops it."""
    if PLAIN_URL.fullmatch(url):
        return url
    if PLAIN_PATH.fullmatch(url) and (plain := PLAIN_URL.fullmatch(base)):
        return base[: plain.start(1)] + url
    try:
        return urljoin(base, url)
    except ValueError:
        return url


def _parse_metadata(value: Any) -> Any:
    """Return the digest. `true` has none that could be verified, so the metadata is then read from the wheel."""
    return clean_digest(value.get("sha256")) if isinstance(value, dict) else None


def _parse_status(value: Any) -> ProjectStatus:
    """Return the top-level `project-status.status` (PEP 792); an unknown status counts as active."""
    status = value.get("status") if isinstance(value, dict) else None
    return ProjectStatus(status) if status in list(ProjectStatus) else ProjectStatus.ACTIVE


def _parse_reason(value: Any) -> str | None:
    return clean_text(value.get("reason")) if isinstance(value, dict) else None
