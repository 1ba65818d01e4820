"""Cleans what upstreams claim, for both forms of their pages: a value that cannot be trusted becomes None.

A file that cannot be kept is not lost silently: the page says that it was left out, and why.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urldefrag, urlsplit

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import NormalizedName

from koschey.model import LeftOutCause, LeftOutFile, ProjectStatus, Sha256, UpstreamFile, UpstreamPage
from koschey.standards.names import PLAIN_URL, is_safe_filename, version_of

SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_LEFT_OUT = 200
"""Maximum number of left-out files of one page that are recorded; the rest is only counted."""
MAX_SHOWN = 250
"""Maximum number of characters of a left-out file's name."""
MAX_TEXT = 2000
"""Maximum number of characters of a text from an upstream: yank reasons, specifiers."""
CAUSES = {
    LeftOutCause.NO_FILE: "the page gives it no filename or no address",
    LeftOutCause.UNSAFE_NAME: "its name cannot be used in a URL, a header or a page",
    LeftOutCause.NO_ADDRESS: "its address is not an http or https URL",
    LeftOutCause.UNKNOWN_ENDING: "its name does not have the ending of a distribution",
    LeftOutCause.LISTED_TWICE: "the page lists the name again, with other bytes",
}
"""Why a file is left out, for people."""
PLAUSIBLE_YEARS = range(1970, 3000)
"""Years with which Koschey can compute, and which all clients can read."""


def clean_file(
    project: NormalizedName,
    *,
    filename: str,
    url: str,
    sha256: Sha256 | None,
    size: int | None,
    upload_time: datetime | None,
    requires_python: str | None,
    yanked: str | None,
    core_metadata: Sha256 | None,
    provenance_url: str | None = None,
) -> UpstreamFile | LeftOutFile:
    """Return the file as Koschey may keep it, or why its name or URL cannot be handled safely."""
    bare = _clean_url(url)
    if not is_safe_filename(filename):
        return left_out(filename, LeftOutCause.UNSAFE_NAME)
    if bare is None:
        return left_out(filename, LeftOutCause.NO_ADDRESS)
    return UpstreamFile(
        filename=filename,
        version=version_of(filename, project),
        url=bare,
        sha256=sha256,
        size=size,
        upload_time=upload_time,
        requires_python=_clean_specifier(requires_python),
        yanked=yanked if yanked is None else (clean_text(yanked) or ""),
        core_metadata=core_metadata if filename.endswith(".whl") else None,
        provenance_url=_clean_url(provenance_url) if provenance_url else None,
    )


def left_out(name: Any, cause: LeftOutCause) -> LeftOutFile:
    """Return a left-out file, with a name that can be shown."""
    text = name if isinstance(name, str) else ""
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:MAX_SHOWN])
    return LeftOutFile(shown or "(no name)", cause)


def page_of(
    found: Iterable[UpstreamFile | LeftOutFile], status: ProjectStatus, reason: str | None, etag: str | None
) -> UpstreamPage:
    """Build a page. If it lists a name more than once, with other bytes, the last one counts."""
    files: dict[str, UpstreamFile] = {}
    lost: list[LeftOutFile] = []
    for item in found:
        if isinstance(item, LeftOutFile):
            lost.append(item)
            continue
        before = files.get(item.filename)
        if before is not None and before.sha256 != item.sha256:
            lost.append(left_out(before.filename, LeftOutCause.LISTED_TWICE))
        files[item.filename] = item
    return UpstreamPage(tuple(files.values()), status, reason, etag, tuple(lost[:MAX_LEFT_OUT]), len(lost))


def clean_digest(value: Any) -> Sha256 | None:
    """Return a SHA-256 in lowercase hex, or None."""
    text = value.lower() if isinstance(value, str) else ""
    return Sha256(text) if SHA256.fullmatch(text) else None


def clean_time(value: Any) -> datetime | None:
    """Return an upload time (PEP 700), or None if it is missing, empty or implausible."""
    try:
        time = datetime.fromisoformat(value)
        utc = (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return utc if utc.year in PLAUSIBLE_YEARS else None


def clean_text(value: Any) -> str | None:
    """Return a text without control characters, shortened; None if nothing is left."""
    if not isinstance(value, str):
        return None
    lines = " ".join(value.split())
    if lines.isprintable() and len(lines) <= MAX_TEXT:
        return lines or None
    return "".join(character for character in lines if character.isprintable())[:MAX_TEXT].strip() or None


def _clean_url(url: str) -> str | None:
    """Return a URL without its fragment, or None if it is not http or https, or has unprintable characters."""
    if PLAIN_URL.fullmatch(url):
        return url
    try:
        bare = urldefrag(url).url
        is_web = urlsplit(bare).scheme in ("http", "https")
    except ValueError:
        return None
    return bare if is_web and bare.isprintable() else None


@lru_cache(maxsize=1000)
def _clean_specifier(value: str | None) -> str | None:
    """Return the specifier, or None if clients cannot parse it: they would drop the file silently."""
    try:
        SpecifierSet(value or "")
    except InvalidSpecifier:
        return None
    return value
