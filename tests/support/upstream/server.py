"""A small real package index on loopback, with a switch for every misbehaviour.

    with Upstream() as upstream:
        upstream.add("six", "1.16.0")
        upstream.fault("six-*.whl", truncate_at=100, times=1)

It answers from a thread of its own, so real processes can send requests while a test, async or not, controls it by
plain calls. `catalogue` has its contents, and `faults` its faults; this module answers requests.
"""

import asyncio
import hashlib
import json
import socket
import struct
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from aiohttp import web
from packaging.utils import canonicalize_name

from tests.support.upstream.catalogue import Body, Catalogue, Page, UpstreamFile, render_html
from tests.support.upstream.faults import Answer, Fault, Hold, covers, matches

__all__ = ["Fault", "Hold", "Request", "Upstream", "UpstreamFile"]

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "text/html"
INTEGRITY = "application/vnd.pypi.integrity.v1+json"


@dataclass(frozen=True)
class Request:
    """One answered request. `headers` ignores case; `path` is not percent-encoded."""

    method: str
    path: str
    status: int
    headers: Mapping[str, str] = field(repr=False)


class Upstream(Catalogue):
    """The index. Its plain attributes are switches that a test may change at any time."""

    def __init__(self) -> None:
        # Stays bound and never listens: while the index is down, no other process gets the port, not even as the source
        # port of a client that tries to reach the index.
        self._reserved = _bound(0)
        self._port: int = self._reserved.getsockname()[1]
        super().__init__(f"http://127.0.0.1:{self._port}")
        self.html_only = False
        self.etags = True
        self._faults: list[Fault] = []
        self._holds: list[Hold] = []
        self._requests: list[Request] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="upstream", daemon=True)
        self._server = web.Server(self._handle, handler_cancellation=True, loop=self._loop, access_log=None)
        self._runner = web.ServerRunner(self._server)
        self._site: web.SockSite | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The index URL for an installer."""
        return f"{self.root}/simple/"

    def start(self) -> None:
        """Start the thread and listen."""
        self._thread.start()
        self._run(self._runner.setup())
        self.up()

    def close(self) -> None:
        """Close every connection, and end the thread."""
        self.clear_faults()
        self.down()
        self._run(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._reserved.close()

    def up(self) -> None:
        """Listen on the same port, again or for the first time."""
        self._run(self._listen())

    def down(self) -> None:
        """Refuse new connections, and abort the open ones."""
        self._run(self._refuse())

    def fault(
        self,
        pattern: str,
        *,
        status: int | None = None,
        delay: float = 0,
        reset_after: int | None = None,
        truncate_at: int | None = None,
        body: bytes | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        redirect: str | None = None,
        bytes_per_second: int | None = None,
        chunked: bool = False,
        times: int | None = None,
    ) -> Fault:
        """Misbehave on matching requests. The oldest matching fault that is not used up (`times`) applies.

        `status` answers with that error, `body` with those bytes, `redirect` with a 302 (or `status`) to that URL;
        `content_type` and `headers` are added to any answer, true or not. `delay` is in seconds, before the headers.
        With `chunked` the answer states no length. `reset_after` and `truncate_at` are bytes of the body: after them
        the connection is reset, or closed, although Content-Length states the whole. Returns the fault, which counts in
        `applied`.
        """
        fault = Fault(
            pattern=pattern,
            status=status,
            delay=delay,
            reset_after=reset_after,
            truncate_at=truncate_at,
            body=body,
            content_type=content_type,
            headers=headers or {},
            redirect=redirect,
            bytes_per_second=bytes_per_second,
            chunked=chunked,
            times=times,
        )
        with self._lock:
            self._faults.append(fault)
        return fault

    def hold(self, pattern: str, *, after: int = 0) -> Hold:
        """Stop matching requests after the headers and `after` bytes of the body, until they are released."""
        hold = Hold(pattern, after, self._loop)
        with self._lock:
            self._holds.append(hold)
        return hold

    @property
    def faults(self) -> list[Fault]:
        """The active faults, the oldest first, including those that are used up."""
        with self._lock:
            return list(self._faults)

    def clear_faults(self) -> None:
        """Remove all faults, and release all held requests."""
        with self._lock:
            holds, self._holds, self._faults = self._holds, [], []
        for hold in holds:
            hold.release()

    @property
    def requests(self) -> list[Request]:
        """Every request so far whose answer was begun, the oldest first."""
        with self._lock:
            return list(self._requests)

    def count(self, pattern: str) -> int:
        """The number of GETs of this exact path or glob; without a slash, of this project or filename."""
        return sum(request.method == "GET" and matches(pattern, request.path) for request in self.requests)

    def about(self, *texts: str) -> list[Request]:
        """The requests whose paths contain one of these texts, because an index also refreshes pages by itself."""
        return [request for request in self.requests if any(text in request.path for text in texts)]

    def forget_requests(self) -> None:
        """Forget the counted requests."""
        with self._lock:
            self._requests.clear()

    def _run[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _listen(self) -> None:
        if self._site is None:
            self._site = web.SockSite(self._runner, _bound(self._port), backlog=1024)
            await self._site.start()

    async def _refuse(self) -> None:
        if self._site is not None:
            await self._site.stop()
            self._site = None
        for connection in self._server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        fault = self._take(request.path)
        await asyncio.sleep(fault.delay)
        answer = fault.distort(self._answer(request))
        with self._lock:
            self._requests.append(Request(request.method, request.path, answer.status, request.headers))
            holds = [hold for hold in self._holds if covers(hold.pattern, request.path)]
        return await _send(request, answer, fault, holds)

    def _take(self, path: str) -> Fault:
        with self._lock:
            fault = next((fault for fault in self._faults if fault.applies(path)), Fault(pattern=path))
            fault.applied += 1
            return fault

    def _answer(self, request: web.BaseRequest) -> Answer:
        if request.method not in ("GET", "HEAD"):
            return _plain(405, "Method not allowed")
        if request.path.startswith("/integrity/"):
            return self._answer_provenance(request)
        if not request.path.startswith("/simple"):
            return self._answer_file(request)
        project = request.path.removeprefix("/simple").strip("/")
        proper = f"/simple/{canonicalize_name(project)}/" if project else "/simple/"
        page = self.project_detail(project) if project else self.project_list()
        if page is None:
            return _plain(404, "404 Not Found")
        if request.path != proper:
            return Answer(301, {"Location": proper}, Body.of(b""))
        return self._answer_page(request, page)

    def _answer_page(self, request: web.BaseRequest, page: Page) -> Answer:
        as_json = JSON in request.headers.get("Accept", "") and not self.html_only
        content = (json.dumps(page) if as_json else render_html(page)).encode()
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        headers = {"Content-Type": JSON if as_json else HTML, "Vary": "Accept"}
        headers["Cache-Control"] = "max-age=600, public"
        if self.serials:
            headers["X-PyPI-Last-Serial"] = str(page["meta"]["_last-serial"])
        if self.etags:
            headers["ETag"] = etag
            if etag in request.headers.get("If-None-Match", ""):
                return Answer(304, headers, Body.of(b""))
        return Answer(200, headers, Body.of(content))

    def _answer_provenance(self, request: web.BaseRequest) -> Answer:
        try:
            file = self.file(request.path.split("/")[-2])
        except KeyError:
            return _plain(404, "404 Not Found")
        if file.provenance is None or quote(request.path) != file.provenance_path:
            return _plain(404, "404 Not Found")
        return Answer(200, {"Content-Type": INTEGRITY}, Body.of(file.provenance))

    def _answer_file(self, request: web.BaseRequest) -> Answer:
        filename = request.path.rpartition("/")[2]
        try:
            file = self.file(filename.removesuffix(".metadata"))
        except KeyError:
            return _plain(404, "404 Not Found")
        if quote(request.path.removesuffix(".metadata")) != file.path:
            return _plain(404, "404 Not Found")
        if not filename.endswith(".metadata"):
            return _ranged(request, file)
        if file.metadata is None:
            return _plain(404, "404 Not Found")
        return Answer(200, {"Content-Type": "application/octet-stream"}, Body.of(file.metadata))


def _bound(port: int) -> socket.socket:
    """Return a socket that is bound to the port. Another socket that does not listen may share it."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def _plain(status: int, text: str) -> Answer:
    return Answer(status, {"Content-Type": "text/plain; charset=utf-8"}, Body.of(text.encode()))


def _ranged(request: web.BaseRequest, file: UpstreamFile) -> Answer:
    etag = f'"{file.sha256}"'
    headers = {
        "Content-Type": "application/octet-stream",
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Cache-Control": "max-age=365000000, immutable, public",
    }
    whole = Answer(200, headers, file.body)
    if "Range" not in request.headers or request.headers.get("If-Range", etag) != etag:
        return whole
    try:
        span = range(file.size)[request.http_range]
    except ValueError:  # RFC 9110: an invalid range is ignored
        return whole
    if not span:
        return Answer(416, {"Content-Range": f"bytes */{file.size}"}, Body.of(b""))
    headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{file.size}"
    return Answer(206, headers, file.body, span)


async def _send(
    request: web.BaseRequest,
    answer: Answer,
    fault: Fault,
    holds: list[Hold],
) -> web.StreamResponse:
    """Send the answer with the fault. Content-Length is always that of the whole body."""
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    if fault.chunked:
        response.enable_chunked_encoding()
    else:
        response.content_length = len(answer.part)
    await response.prepare(request)
    start, end = answer.part.start, answer.part.stop
    if fault.cut is not None:
        end = min(end, start + fault.cut)
    if request.method == "HEAD":
        end = start
    for hold in holds:
        pause = max(start, min(end, answer.part.start + hold.after))
        await _write(response, answer.body, start, pause, fault.bytes_per_second)
        await hold.block()
        start = pause
    await _write(response, answer.body, start, end, fault.bytes_per_second)
    if fault.cut is not None and request.transport is not None:
        await _end(request.transport, reset=fault.reset_after is not None)
    return response


async def _write(
    response: web.StreamResponse,
    body: Body,
    start: int,
    stop: int,
    bytes_per_second: int | None,
) -> None:
    if bytes_per_second is None:
        for chunk in body.chunks(start, stop):
            await response.write(chunk)
        return
    for chunk in body.chunks(start, stop, max(1, bytes_per_second // 20)):
        await response.write(chunk)
        await asyncio.sleep(len(chunk) / bytes_per_second)


async def _end(transport: asyncio.Transport, *, reset: bool) -> None:
    if not reset:
        transport.close()
        return
    # An abort would drop the bytes that the transport has not sent yet.
    while transport.get_write_buffer_size():
        await asyncio.sleep(0.001)
    # With a linger time of zero seconds, the kernel sends RST instead of FIN.
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
