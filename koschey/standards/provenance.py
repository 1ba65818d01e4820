"""PEP 710 `provenance_url.json`: where a mirrored file was downloaded from."""

from urllib.parse import urlsplit, urlunsplit

import msgspec

from koschey.errors import UsageError
from koschey.model import Sha256


class _ArchiveInfo(msgspec.Struct, forbid_unknown_fields=True):
    hashes: dict[str, str]


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    """PEP 710: the keys `url` and `archive_info`, and no others."""

    url: str
    archive_info: _ArchiveInfo


def render_provenance(url: str, sha256: Sha256) -> str:
    """Return the record: exactly the keys `url` and `archive_info`, with the digest of the stored bytes.

    PEP 710: the URL "MUST be stripped of any sensitive authentication information"; query and fragment are removed too.
    """
    parts = urlsplit(url)
    bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return msgspec.json.encode(_Record(bare, _ArchiveInfo({"sha256": sha256}))).decode()


def parse_provenance(body: bytes) -> tuple[str, Sha256]:
    """Return the URL and the SHA-256 of a record. Raises `UsageError` if it is not a record, or has no SHA-256."""
    try:
        record = msgspec.json.decode(body, type=_Record)
        return record.url, Sha256(record.archive_info.hashes["sha256"])
    except (msgspec.DecodeError, UnicodeError, KeyError) as error:
        raise UsageError(f"the record is not one of PEP 710: {error}") from None
