"""Uploads over HTTP, valid and invalid, and whether a refused one left anything behind."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from koschey.model import Sha256
from koschey.storage.s3 import blob_key, manifest_key
from tests.support.koschey_up import Answer, Koschey

BOUNDARY = "b0undary"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


def form(filename: str, content: bytes, changes: Mapping[str, str | None] | None = None) -> dict[str, str | None]:
    """The fields that an honest client sends with a file. `changes` replace fields, or omit them if None."""
    name, version = re.sub(r"\.(tar\.gz|tar\.bz2|zip)$", "", filename).split("-")[:2]
    filetype = "bdist_wheel" if filename.endswith(".whl") else "sdist"
    digest = hashlib.sha256(content).hexdigest()
    fields = {":action": "file_upload", "name": name, "version": version, "filetype": filetype, "sha256_digest": digest}
    python = "source" if filetype == "sdist" else "py3"
    return {**fields, "pyversion": python, **(changes or {})}


def encoded(fields: dict[str, str | None], filename: str | None, content: bytes, *, name: str = "content") -> bytes:
    """The form, encoded as a request's body."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
        for field, value in fields.items()
        if value is not None
    ]
    named = f'; filename="{filename}"' if filename is not None else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return b"".join([*parts, head.encode(), content, f"\r\n--{BOUNDARY}--\r\n".encode()])


def token_of(koschey: Koschey) -> str:
    """The token that `koschey up` prints."""
    return str(koschey.ready["upload_token"])


def post(
    koschey: Koschey,
    body: Any,
    *,
    path: str = "/legacy/",
    token: str | None = None,
    chunked: bool = False,
    **headers: str,
) -> Answer:
    """Send a body as an upload. An underscore in a header's name means a hyphen."""
    credentials = b64encode(f"__token__:{token_of(koschey) if token is None else token}".encode()).decode()
    sent = {"Content-Type": MULTIPART, "Authorization": f"Basic {credentials}"}
    sent |= {key.replace("_", "-"): value for key, value in headers.items()}
    connection = HTTPConnection(urlsplit(koschey.url).netloc, timeout=120)
    try:
        connection.request("POST", path, body, sent, encode_chunked=chunked)
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, response.read())
    finally:
        connection.close()


def upload(
    koschey: Koschey,
    file: tuple[str, bytes],
    changes: Mapping[str, str | None] | None = None,
    *,
    token: str | None = None,
) -> Answer:
    """Upload a file with valid fields, except for the changes."""
    return post(koschey, encoded(form(*file, changes), *file), token=token)


def is_clean(koschey: Koschey, filename: str, content: bytes) -> bool:
    """Return whether neither a row nor an object of a file exists."""
    digest = Sha256(hashlib.sha256(content).hexdigest())
    objects = [koschey.data / "s3" / "koschey" / key for key in (blob_key(digest), manifest_key(digest))]
    rows = koschey.fetch_value("SELECT count(*) FROM file WHERE filename = $1 AND sha256 = $2", filename, digest)
    return rows == 0 and not any(path.exists() for path in objects)


def is_known(koschey: Koschey, project: str) -> bool:
    """Return whether a row of the project exists."""
    return bool(koschey.fetch_value("SELECT count(*) FROM project WHERE name = $1", project))
