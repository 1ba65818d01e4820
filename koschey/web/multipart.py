"""Reads the body of an upload as it arrives: fields into memory, the file to disk, and no faster than it is written.

Quart would keep all that a client has sent in memory until a handler reads it. `UploadConnection` replaces Quart's
connection class. For the paths in `STREAMED` it leaves the body with the server until a handler reads it.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from quart.asgi import ASGIHTTPConnection
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from koschey.errors import Refused
from koschey.web.form_limits import OVERHEAD, FormBudget, FormLimits
from koschey.web.spool import Spool

STREAMED = ("/legacy/", "/legacy", "/pypi", "/pypi/", "/RPC2")
"""Paths of uploads and of XML-RPC, which needs no login and allows far smaller bodies than Quart would keep."""
BODY = "koschey.body"
"""Key of the body in the ASGI scope."""

IGNORED = "gpg_signature"
"""A signature, which indexes used to keep beside the file. twine still sends it, and Koschey drops it."""
STALL = 15.0
"""Seconds without a byte after which an upload is refused."""
WINDOW = 60.0
LEAST = 240 * 2**10
"""Bytes that must arrive in every `WINDOW` seconds: 4 KiB a second, less than a slow modem's line. Only the time in
which Koschey waits for the client counts."""
PIECE = 2**16
"""Bytes given to the decoder at a time."""
MAX_HEADERS = 2 * PIECE
"""Maximum bytes of a part's headers, and of the text before the first part."""
LINGER = 30.0
"""Seconds for which the rest of a refused upload is read and dropped: most clients read the answer only after they have
sent everything, and would see a reset connection instead."""
LINGER_IDLE = 2.0


class Pace:
    """Measures how fast a body arrives, so that a client that sends too little is refused after one window."""

    def __init__(self) -> None:
        self._waited = 0.0
        self._received = 0

    def note(self, seconds: float, size: int) -> None:
        """Count a chunk that arrived after so many seconds of waiting. Raises `Refused` if the body is too slow."""
        self._waited += seconds
        self._received += size
        if self._waited < WINDOW:
            return
        if self._received < LEAST:
            raise Refused(
                f"only {self._received} bytes of the upload arrived in {self._waited:.0f} seconds; at least "
                f"{LEAST} are needed in {WINDOW:g}",
                status=408,
            )
        self._waited, self._received = 0.0, 0


class RequestBody:
    """The body of one request, pulled from the server chunk by chunk."""

    def __init__(self, receive: Any) -> None:
        self._receive = receive
        self._gone = False
        self._complete = False
        self._answered = asyncio.Event()
        self._announced = False
        self._pace = Pace()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body. Raises `Refused` when the client stalls, is too slow, or goes away."""
        while not self._complete:
            began = time.monotonic()
            try:
                async with asyncio.timeout(STALL):
                    chunk = await self._next()
            except TimeoutError:
                raise Refused(f"no byte of the upload arrived for {STALL:g} seconds", status=408) from None
            if self._gone:
                raise Refused("the client disconnected before the upload was complete")
            if not self._complete:
                self._pace.note(time.monotonic() - began, len(chunk))
            yield chunk

    @property
    def is_complete(self) -> bool:
        """Whether the whole body was read."""
        return self._complete

    async def linger(self) -> None:
        """Drop what the client still sends, for at most `LINGER` seconds, or until it pauses for `LINGER_IDLE`."""
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
        # While the body is being read, its reader is the first to see that the client is gone.
        await self._answered.wait()
        while not self._gone:
            await self._next()
        return {"type": "http.disconnect"}

    def end(self) -> None:
        """Record that the answer was sent: from now on only the end of the connection is awaited."""
        self._answered.set()

    async def _next(self) -> bytes:
        message = await self._receive()
        self._gone = message["type"] == "http.disconnect"
        self._complete = self._complete or not message.get("more_body", False)
        return bytes(message.get("body", b""))


class UploadConnection(ASGIHTTPConnection):
    """Serves one request. If its path is in `STREAMED`, the handler finds the body under `BODY` in the scope."""

    async def __call__(self, receive: Any, send: Any) -> None:
        """Serve the request."""
        path = self.scope["path"].removeprefix(self.scope.get("root_path", ""))
        if self.scope["method"] != "POST" or path not in STREAMED:
            await super().__call__(receive, send)
            return
        body = RequestBody(receive)
        self.scope[BODY] = body  # type: ignore[literal-required]

        async def send_then_linger(message: Any) -> None:
            if message["type"] == "http.response.start" and not body.is_complete:
                # A server closes once it has sent the announced length, so the answer announces none.
                headers = [header for header in message["headers"] if header[0].lower() != b"content-length"]
                message = {**message, "headers": headers}
            is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
            if is_last:
                await body.linger()
            await send(message)
            if is_last:
                body.end()

        await super().__call__(body.receive_without_body, send_then_linger)


class FormReader:
    """Reads one form, whose part `content` is a file. The caller closes it when it no longer needs the fields."""

    def __init__(self, spool: Spool, limits: FormLimits | None = None, budget: FormBudget | None = None) -> None:
        self.fields: list[tuple[str, str]] = []
        self.filename: str | None = None
        self.content_type: str | None = None
        """The `Content-Type` of the file's part, or None if the part has none."""
        self._spool = spool
        self._name = ""
        self._text: bytearray | None = None
        """The bytes of the current field, or None while the file is being read."""
        self._limits = limits or FormLimits()
        self._budget = budget or FormBudget()
        self._count = 0
        self._size = 0
        self._reserved = 0

    async def read(self, chunks: AsyncIterator[bytes], content_type: str) -> None:
        """Read the form to its end.

        Raises `Refused` if the body is not such a form or is too large, and `Busy` if all current forms are too large.
        """
        kind, options = parse_options_header(content_type)
        boundary = options.get("boundary", "")
        if kind != "multipart/form-data" or not 0 < len(boundary) <= 200 or not boundary.isascii():
            raise Refused("Send the upload as multipart/form-data with a boundary.")
        decoder = MultipartDecoder(boundary.encode(), MAX_HEADERS + PIECE)
        try:
            async for chunk in chunks:
                for start in range(0, len(chunk), PIECE):
                    decoder.receive_data(chunk[start : start + PIECE])
                    await self._handle_events(decoder)
            decoder.receive_data(None)
            await self._handle_events(decoder)
        except RequestEntityTooLarge:
            raise Refused(
                f"The body has {MAX_HEADERS} bytes without a boundary: "
                "a part has headers that are too long, or no end.",
                status=413,
            ) from None
        except ValueError:
            raise Refused("The body is not a multipart form, or it was cut off.") from None
        await self._spool.flush()

    def close(self) -> None:
        """Drop the fields, and release their memory in the budget."""
        self.fields = []
        self._budget.release(self._reserved)
        self._reserved = 0

    async def _handle_events(self, decoder: MultipartDecoder) -> None:
        while not isinstance(event := decoder.next_event(), NeedData | Epilogue):
            await self._handle(event)

    async def _handle(self, event: Event) -> None:
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
                raise Refused("The form needs exactly one part 'content', and it must be a file.")
            self.filename, self._text = part.filename, None
            self.content_type = part.headers.get("Content-Type")
        elif isinstance(part, File) and self._name != IGNORED:
            raise Refused(f"{self._name[:100]!a}: Should not be a file.")
        else:
            self._text = bytearray()
            self._count += 1
            self._weigh(len(self._name), OVERHEAD)

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

    def _weigh(self, size: int, overhead: int = 0) -> None:
        self._size += size
        self._limits.check(self._count, self._size, self._name)
        self._budget.reserve(size + overhead)
        self._reserved += size + overhead
