"""Answers requests for files, their core metadata and their records from memory and from the shelf.

The snapshot of the project says what is served, and the statement that records a download says whether that is still
so. Quart answers all that is not at hand here, and all that is an error.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any, NamedTuple

from koschey.errors import KoscheyError
from koschey.model import File
from koschey.resources import POSTGRESQL_AWAY, Resources
from koschey.storage.shelf import SMALL
from koschey.web.caching import immutable
from koschey.web.conditional import Unsatisfiable, matches, parse_range
from koschey.web.downloads import Client, record_download_of
from koschey.web.files import METADATA, RECORD
from koschey.web.stalls import limited

PREFIX = "/packages/"
READ = {name: name.decode() for name in (b"if-none-match", b"range", b"if-range", b"authorization", b"user-agent")}
CHUNK = 256 * 2**10
"""Bytes that are read at a time if the server cannot send a file by its path."""

type Headers = list[tuple[bytes, bytes]]


class FileRequest(NamedTuple):
    """A request for a file or for what is beside it."""

    file: File
    headers: dict[str, str]
    is_head: bool


class FastFiles:
    """Answers `GET` and `HEAD` below `/packages/` if the answer is at hand."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._constant: Headers = [
            (b"cache-control", immutable(resources.settings).encode()),
            (b"x-content-type-options", b"nosniff"),
        ]

    async def answer(self, scope: Any, send: Any) -> bool:
        """Answer, and return True. Returns False, before anything is sent, if Quart must answer."""
        path: str = scope["path"]
        beside = next((suffix for suffix in (METADATA, RECORD) if path.endswith(suffix)), "")
        file = self._resources.pages.cached_file(path.removesuffix(beside))
        if file is None:
            return False
        headers = {READ[name]: value.decode("latin-1") for name, value in scope["headers"] if name in READ}
        request = FileRequest(file, headers, scope["method"] == "HEAD")
        if beside:
            return await self._answer_beside(request, beside, send)
        return await self._answer_file(request, scope, send)

    async def _answer_beside(self, request: FileRequest, beside: str, send: Any) -> bool:
        """Answer a request for core metadata or a record; both are small."""
        file = request.file
        # Core metadata that another file has, too, is not this one's before it was obtained for this file.
        if beside == METADATA and file.core_metadata and file.metadata_stored:
            body = self._resources.shelf.find_small(file.core_metadata)
            etag, content_type = str(file.core_metadata), b"application/octet-stream"
        elif beside == RECORD and file.record is not None:
            body = file.record.encode()
            etag, content_type = hashlib.sha256(body).hexdigest()[:32], b"application/json"
        else:
            return False
        if body is None:
            return False
        await self._send_small(request, f'"{etag}"', content_type, body, send)
        return True

    async def _send_small(self, request: FileRequest, etag: str, content_type: bytes, body: bytes, send: Any) -> None:
        headers = [*self._constant, (b"etag", etag.encode())]
        if matches(request.headers.get("if-none-match", ""), etag):
            await _send(send, 304, headers, b"")
            return
        headers += [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
        await _send(send, 200, headers, b"" if request.is_head else body)

    async def _answer_file(self, request: FileRequest, scope: Any, send: Any) -> bool:
        file, etag = request.file, f'"{request.file.sha256}"'
        headers = [*self._constant, (b"accept-ranges", b"bytes"), (b"etag", etag.encode())]
        if file.sha256 and matches(request.headers.get("if-none-match", ""), etag):
            await _send(send, 304, headers, b"")
            return True
        source = await self._find(file)
        if source is None or file.size is None:
            return False
        try:
            is_current = request.headers.get("if-range") in (None, etag)
            span = parse_range(request.headers.get("range") if is_current else None, file.size)
        except Unsatisfiable:
            return False
        start, stop = span or (0, file.size)
        headers += [(b"content-type", b"application/octet-stream"), (b"content-length", str(stop - start).encode())]
        if span:
            headers.append((b"content-range", f"bytes {start}-{stop - 1}/{file.size}".encode()))
        if not request.is_head and not await self._record(request, scope):
            return False
        await send({"type": "http.response.start", "status": 206 if span else 200, "headers": headers})
        if request.is_head:
            await send({"type": "http.response.body", "body": b""})
        elif isinstance(source, bytes):
            await send({"type": "http.response.body", "body": source[start:stop]})
        elif span is None and "http.response.pathsend" in (scope.get("extensions") or {}):
            await send({"type": "http.response.pathsend", "path": str(source)})
        else:
            await _send_chunks(source, start, stop, limited(send))
        return True

    async def _find(self, file: File) -> bytes | Path | None:
        """Return the bytes of a small file, or the path of another, if they are at hand."""
        redirects = self._resources.settings.redirects_for
        if redirects or file.stored_at is None or file.sha256 is None or file.size is None:
            return None
        shelf = self._resources.shelf
        if small := shelf.find_small(file.sha256):
            return small
        path = shelf.find(file.sha256, file.size)
        if path is None or file.size > SMALL:
            return path
        blob = await asyncio.to_thread(_read_whole, path)
        if len(blob) == file.size:
            shelf.keep_small(file.sha256, blob)
            return blob
        return None

    async def _record(self, request: FileRequest, scope: Any) -> bool:
        """Record the download. Returns False if Quart must find out why that fails, and whether it still does."""
        headers = request.headers
        address = (scope.get("client") or [None])[0]
        client = Client(headers.get("authorization"), address, headers.get("user-agent"))
        try:
            await record_download_of(request.file, client, self._resources)
        except (KoscheyError, TimeoutError, *POSTGRESQL_AWAY):
            return False
        return True


def _read_whole(path: Path) -> bytes:
    """Return the bytes of a copy, or none if it was removed just now."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


async def _send(send: Any, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_chunks(path: Path, start: int, stop: int, send: Any) -> None:
    async with aclosing(_read(path, start, stop)) as chunks:
        async for chunk in chunks:
            start += len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": start < stop})


async def _read(path: Path, start: int, stop: int) -> AsyncGenerator[bytes]:
    """Yield a part of a file. Raises `OSError` if the file is shorter."""
    with path.open("rb", buffering=0) as file:
        while start < stop:
            chunk = await asyncio.to_thread(os.pread, file.fileno(), min(CHUNK, stop - start), start)
            if not chunk:
                raise OSError(f"{path} ends before byte {stop}")
            start += len(chunk)
            yield chunk
