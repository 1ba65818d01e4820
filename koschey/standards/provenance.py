"""PEP 710 `provenance_url.json`: where a mirrored file was downloaded from."""

from urllib.parse import urlsplit, urlunsplit

import msgspec

from koschey.model import Sha256


def render_provenance(url: str, sha256: Sha256) -> str:
    """Return the record: exactly the keys `url` and `archive_info`, the digest computed over the stored bytes.

    PEP 710: the URL "MUST be stripped of any sensitive authentication information"; query and fragment go with it.
    """
    parts = urlsplit(url)
    bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    record = {"url": bare, "archive_info": {"hashes": {"sha256": sha256}}}
    return msgspec.json.encode(record).decode()
