"""Section 3: the version of the API, and which keys belong to it."""

from typing import Any

from koschey.conformance.checks import check, require, require_none, skip
from koschey.conformance.subject import Subject

VERSION = "1.4"
WITH_NAMESPACES = "1.5"
LIST_KEYS = frozenset({"meta", "projects"})
META_KEYS = frozenset({"api-version", "tracks"})
PAGE_KEYS = frozenset({"meta", "name", "versions", "files", "project-status", "alternate-locations", "namespaces"})
FILE_KEYS = frozenset(
    {"filename", "url", "hashes", "requires-python", "core-metadata", "dist-info-metadata", "gpg-sig", "yanked"}
) | {"size", "upload-time", "provenance"}


@check("T-3.1", 'JSON states api-version "1.4" ("1.5" only with namespaces), HTML always "1.4".')
async def versions_are_stated(subject: Subject) -> str | None:
    """PEP 629 defines the version; PEP 833 freezes HTML."""
    pages = [(page.url, page.json) for page in subject.pages]
    if subject.list_json is not None:
        pages.append((subject.url, subject.list_json))
    if not pages:
        skip("no page is listed, and the list has no JSON form")
    for url, json in pages:
        stated = _dict(json.get("meta")).get("api-version")
        wanted = WITH_NAMESPACES if "namespaces" in json else VERSION
        require(stated == wanted, f"{url} states {stated!r} in JSON, not {wanted!r}")
    for page in subject.pages:
        stated = page.html.metas.get("pypi:repository-version")
        require(stated == VERSION, f"{page.url} states {stated!r} in HTML, not {VERSION!r}")
    return f"{len(pages)} pages"


@check("T-3.2", "Every JSON key is defined by the standard or begins with an underscore.")
async def keys_are_standard(subject: Subject) -> str | None:
    """Keys with an underscore are the server's own; a later version may define any other."""
    found = []
    if subject.list_json is not None:
        found += _foreign(subject.list_json, LIST_KEYS) + _foreign(subject.list_json.get("meta"), META_KEYS)
    for page in subject.pages:
        found += _foreign(page.json, PAGE_KEYS) + _foreign(page.json.get("meta"), META_KEYS)
        found += _foreign(page.json.get("project-status"), frozenset({"status", "reason"}))
        for file in page.files:
            found += _foreign(file.keys, FILE_KEYS)
    if not subject.pages and subject.list_json is None:
        skip("no page is listed, and the list has no JSON form")
    require_none(sorted(set(found)), "a key that no standard defines")
    return None


def _foreign(value: Any, known: frozenset[str]) -> list[str]:
    return [key for key in _dict(value) if key not in known and not key.startswith("_")]


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
