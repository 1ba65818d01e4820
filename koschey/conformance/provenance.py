"""Sections 10 and 11: provenance URLs (PEP 740), and records of where a file came from (PEP 710)."""

import hashlib
from typing import Any
from urllib.parse import urlsplit

from koschey.conformance.checks import check, require, require_none, skip
from koschey.conformance.subject import FileEntry, Subject

RECORD = ".provenance_url.json"
LOCAL = ("localhost", "127.0.0.1", "::1")
FORBIDDEN = ("md5", "sha1")


@check("T-10.2", "A provenance URL is absolute and on a secure origin.")
async def provenance_urls_are_secure(subject: Subject) -> str | None:
    """PEP 740: https, or this machine."""
    urls = [str(file.keys["provenance"]) for file in subject.files if file.keys.get("provenance")]
    urls += [
        anchor.attributes["data-provenance"]
        for page in subject.pages
        for anchor in page.html.anchors
        if "data-provenance" in anchor.attributes
    ]
    if not urls:
        skip("no file is listed with provenance")
    require_none([url for url in urls if not _is_secure(url)], "a provenance URL that is relative or not secure")
    return f"{len(urls)} URLs"


def _is_secure(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL)


async def _records(subject: Subject) -> list[tuple[FileEntry, Any]]:
    """Return the records of a few small files. Each file is downloaded first, because a record may not exist before."""
    found = []
    for file in subject.find()[:5]:
        await subject.download(file)
        answer = await subject.client.fetch(file.url + RECORD)
        if answer.status == 200:
            found.append((file, answer.json))
    if not found:
        skip(f"no file has a {RECORD} beside it; the standard requires it only of installers")
    return found


@check("T-11.1", "A record has the two keys of PEP 710, no weak digest and no credentials.")
async def records_are_valid(subject: Subject) -> str | None:
    """PEP 710, "Specification"."""
    records = await _records(subject)
    for file, record in records:
        where = file.filename + RECORD
        keys = set(record) if isinstance(record, dict) else None
        require(keys == {"url", "archive_info"}, f"{where} has the keys {keys}")
        archive = record["archive_info"]
        require(isinstance(archive, dict) and set(archive) == {"hashes"}, f"{where}: archive_info is {archive!r}")
        hashes = archive["hashes"]
        require(isinstance(hashes, dict) and hashes, f"{where}: hashes is {hashes!r}")
        require_none([name for name in hashes if name in FORBIDDEN], f"{where} has a weak digest")
        parts = urlsplit(str(record["url"]))
        require(parts.scheme and not parts.username and not parts.password, f"{where}: url is {record['url']!r}")
    return f"{len(records)} records"


@check("T-11.2", "A record has the same sha256 as the page and the served bytes.")
async def records_tell_the_truth(subject: Subject) -> str | None:
    """A record of other bytes would prove nothing."""
    records = await _records(subject)
    for file, record in records:
        served = hashlib.sha256((await subject.download(file)).body).hexdigest()
        archive = record.get("archive_info") if isinstance(record, dict) else None
        hashes = archive.get("hashes") if isinstance(archive, dict) else None
        recorded = hashes.get("sha256") if isinstance(hashes, dict) else None
        require(recorded == served, f"{file.filename} is recorded with the sha256 {recorded}, served with {served}")
        listed = file.keys.get("hashes")
        require(
            isinstance(listed, dict) and listed.get("sha256") == served, f"{file.filename} is listed with {listed!r}"
        )
    return f"{len(records)} records"
