"""The body of an upload, read as it arrives: fields into memory, the file to disk, and nothing faster than we write.

Quart would keep all that a client has sent in memory until a handler reads it. For the paths in `STREAMED` its
connection class is replaced by one that leaves the body where it is: with the server, until it is asked for.
"""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from quart.asgi import ASGIHTTPConnection
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from koschey.errors import Refused, StoreUnavailable

STREAMED = ("/legacy/", "/legacy", "/pypi", "/pypi/", "/RPC2")
"""Uploads, and XML-RPC: nobody is asked who he is there, and a call may be far smaller than what Quart would keep."""
BODY = "koschey.body"
"""Key of the body in the ASGI scope."""

IGNORED = "gpg_signature"
"""A file beside the file, from times when indexes kept signatures; twine sends it still, and it is dropped."""
STALL = 15.0
"""Seconds without a byte after which an upload is given up."""
MAX_FIELDS = 2**20
"""Bytes of all fields together; the largest is the description."""
MAX_PARTS = 500
PIECE = 2**16
"""Bytes given to the decoder at a time; what it keeps is bounded by `MAX_FIELDS` and this."""
BATCH = 2**19
"""Bytes hashed and written at a time, in a thread."""
LINGER = 30.0
"""Seconds for which the rest of a refused upload is read and dropped: most clients read an answer only when they have
sent all, and would see a reset connection instead."""
LINGER_IDLE = 2.0


class Body:
    """The body of one request, pulled from the server chunk by chunk."""

    def __init__(self, receive: Any) -> None:
        self._receive = receive
        self._gone = False
        self._complete = False
        self._answered = asyncio.Event()
        self._announced = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body. Raises `Refused` when the client stalls or goes away."""
        while not self._complete:
            try:
                async with asyncio.timeout(STALL):
                    chunk = await self._next()
            except TimeoutError:
                raise Refused(f"no byte of the upload arrived for {STALL:g} seconds", status=408) from None
            if self._gone:
                raise Refused("the client went away before the upload was complete")
            yield chunk

    @property
    def is_complete(self) -> bool:
        """Whether all of it was read."""
        return self._complete

    async def linger(self) -> None:
        """Drop what the client still sends, for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                while not (self._complete or self._gone):
                    async with asyncio.timeout(LINGER_IDLE):
                        await self._next()

    async def receive_without_body(self) -> Any:
        """Tell Quart that there is no body, and later that the client has gone."""
        if not self._announced:
            self._announced = True
            return {"type": "http.request", "body": b"", "more_body": False}
        # While the body is being read the reader sees first that the client is gone.
        await self._answered.wait()
        while not self._gone:
            await self._next()
        return {"type": "http.disconnect"}

    def end(self) -> None:
        """The answer is out; from now on only the end of the connection is awaited."""
        self._answered.set()

    async def _next(self) -> bytes:
        message = await self._receive()
        self._gone = message["type"] == "http.disconnect"
        self._complete = self._complete or not message.get("more_body", False)
        return bytes(message.get("body", b""))


class UploadConnection(ASGIHTTPConnection):
    """Serves one request; one to a path in `STREAMED` finds its body under `BODY` in the scope."""

    async def __call__(self, receive: Any, send: Any) -> None:
        """Serve it."""
        path = self.scope["path"].removeprefix(self.scope.get("root_path", ""))
        if self.scope["method"] != "POST" or path not in STREAMED:
            await super().__call__(receive, send)
            return
        body = Body(receive)
        self.scope[BODY] = body  # type: ignore[literal-required]

        async def send_then_linger(message: Any) -> None:
            if message["type"] == "http.response.start" and not body.is_complete:
                # Servers close when they have sent as much as was announced. So nothing is announced.
                headers = [header for header in message["headers"] if header[0].lower() != b"content-length"]
                message = {**message, "headers": headers}
            is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
            if is_last:
                await body.linger()
            await send(message)
            if is_last:
                body.end()

        await super().__call__(body.receive_without_body, send_then_linger)


class Spool:
    """A file in flight: without a name, so that it is gone when it is closed, whatever happens to us."""

    def __init__(self, folder: Path | None, max_size: int) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by `close`
        self._max_size = max_size
        self._batch = bytearray()
        self._hashers: dict[str, hashlib._Hash | hashlib.blake2b] = {
            "md5_digest": hashlib.md5(usedforsecurity=False),
            "sha256_digest": hashlib.sha256(),
            "blake2_256_digest": hashlib.blake2b(digest_size=32),
        }
        self.size = 0

    @property
    def descriptor(self) -> int:
        """Where the bytes can be read, by position."""
        return self._file.fileno()

    @property
    def digests(self) -> dict[str, str]:
        """Digests of the bytes so far, by the names that the form has for them."""
        return {name: hasher.hexdigest() for name, hasher in self._hashers.items()}

    async def write(self, chunk: bytes) -> None:
        """Take more bytes."""
        self.size += len(chunk)
        if self.size > self._max_size:
            raise Refused(f"File too large. Limit of this index is {self._max_size / 2**20:g} MiB.", status=413)
        self._batch += chunk
        if len(self._batch) >= BATCH:
            await self.flush()

    async def flush(self) -> None:
        """Hash and write what was taken."""
        batch, self._batch = self._batch, bytearray()
        try:
            await asyncio.to_thread(self._work, batch)
        except OSError as error:
            raise StoreUnavailable(f"there is no room for the upload now: {error.strerror}") from error

    def close(self) -> None:
        """Drop the file."""
        self._file.close()

    def _work(self, batch: bytearray) -> None:
        for hasher in self._hashers.values():
            hasher.update(batch)
        rest = memoryview(batch)
        while rest:
            rest = rest[os.write(self._file.fileno(), rest) :]


class FormReader:
    """Reads one form, of which one part, `content`, is a file."""

    def __init__(self, spool: Spool) -> None:
        self.fields: list[tuple[str, str]] = []
        self.filename: str | None = None
        self.content_type: str | None = None
        """Of the part with the file; None where it has none."""
        self._spool = spool
        self._name = ""
        self._text: bytearray | None = None
        """The bytes of the field that is being read; None while it is the file."""
        self._weight = 0

    async def read(self, chunks: AsyncIterator[bytes], content_type: str) -> None:
        """Read the form to its end. Raises `Refused` where it is none, or is too large."""
        kind, options = parse_options_header(content_type)
        boundary = options.get("boundary", "")
        if kind != "multipart/form-data" or not 0 < len(boundary) <= 200 or not boundary.isascii():
            raise Refused("Send the upload as multipart/form-data with a boundary.")
        decoder = MultipartDecoder(boundary.encode(), MAX_FIELDS + 2 * PIECE, max_parts=MAX_PARTS)
        try:
            async for chunk in chunks:
                for start in range(0, len(chunk), PIECE):
                    decoder.receive_data(chunk[start : start + PIECE])
                    await self._take_all(decoder)
            decoder.receive_data(None)
            await self._take_all(decoder)
        except RequestEntityTooLarge:
            raise Refused(f"The form has more than {MAX_PARTS} parts, or a part without end.", status=413) from None
        except ValueError:
            raise Refused("The body is no multipart form, or was cut off.") from None
        await self._spool.flush()

    async def _take_all(self, decoder: MultipartDecoder) -> None:
        while not isinstance(event := decoder.next_event(), NeedData | Epilogue):
            await self._take(event)

    async def _take(self, event: Event) -> None:
        if isinstance(event, Field | File):
            self._begin(event)
        elif isinstance(event, Data) and self._text is None:
            await self._spool.write(event.data)
        elif isinstance(event, Data):
            self._add(event)

    def _begin(self, part: Field | File) -> None:
        self._name = part.name or ""
        if self._name == "content":
            if not isinstance(part, File) or self.filename is not None:
                raise Refused("The form needs one part 'content', which is a file.")
            self.filename, self._text = part.filename, None
            self.content_type = part.headers.get("Content-Type")
        elif isinstance(part, File) and self._name != IGNORED:
            raise Refused(f"{self._name[:100]!a}: Should not be a file.")
        else:
            self._text = bytearray()
            self._weigh(len(self._name))

    def _add(self, data: Data) -> None:
        assert self._text is not None
        self._weigh(len(data.data))
        self._text += data.data
        if data.more_data or self._name == IGNORED:
            return
        try:
            self.fields.append((self._name, self._text.decode()))
        except UnicodeDecodeError:
            raise Refused(f"{self._name[:100]!a} is not UTF-8.") from None

    def _weigh(self, size: int) -> None:
        self._weight += size
        if self._weight > MAX_FIELDS:
            raise Refused(f"The fields of the form are larger than {MAX_FIELDS} bytes together.", status=413)
