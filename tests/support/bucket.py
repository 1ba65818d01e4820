"""A proxy before a real S3 server that can misbehave as a failing bucket does.

    with BucketDoor("http://127.0.0.1:7070") as door:
        door.fault("blobs/*", status=503, code="SlowDown", times=1)
        settings = {..., "s3_endpoint": door.url}

Requests pass through unchanged, so the real server checks their signatures and answers. The proxy counts them.
"""

import asyncio
import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import TracebackType
from typing import NamedTuple, Self

import aiohttp
from aiohttp import web
from aiohttp.http import StreamWriter
from yarl import URL

HOP = frozenset({"connection", "transfer-encoding", "keep-alive", "content-length", "expect"})
PIECE = 64 * 2**10


class S3Request(NamedTuple):
    """One request that reached the proxy."""

    method: str
    key: str
    range: str | None


@dataclass(kw_only=True)
class BucketFault:
    """One misbehaviour; see `BucketProxy.fault`."""

    pattern: str
    method: str | None
    status: int | None
    code: str
    acknowledge: bool
    truncate_at: int | None
    flip_at: int | None
    times: int | None
    applied: int = 0

    def applies(self, method: str, key: str) -> bool:
        """Whether the fault matches the request and is not used up."""
        if self.times is not None and self.applied >= self.times:
            return False
        return self.method in (None, method) and fnmatchcase(key, self.pattern)


class BucketProxy:
    """The proxy. It answers from a thread of its own."""

    def __init__(self, target: str, bucket: str = "koschey") -> None:
        self._target = URL(target)
        self._prefix = f"/{bucket}/"
        self._faults: list[BucketFault] = []
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bucket", daemon=True)
        self.requests: list[S3Request] = []
        self.reading = 0
        """Number of answers to GET in progress."""
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def fault(
        self,
        pattern: str,
        *,
        method: str | None = None,
        status: int | None = None,
        code: str = "",
        acknowledge: bool = False,
        truncate_at: int | None = None,
        flip_at: int | None = None,
        times: int | None = None,
    ) -> BucketFault:
        """Misbehave for keys that match a glob. The oldest matching fault that is not used up (`times`) applies.

        `status` answers with that error, and with `code` in S3's XML; `acknowledge` answers 200 to a PUT and drops it;
        `truncate_at` closes the connection after so many bytes of the body; `flip_at` changes the byte at that offset.
        """
        fault = BucketFault(
            pattern=pattern,
            method=method,
            status=status,
            code=code,
            acknowledge=acknowledge,
            truncate_at=truncate_at,
            flip_at=flip_at,
            times=times,
        )
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear_faults(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()

    def forget_requests(self) -> None:
        """Forget the counted requests."""
        with self._lock:
            self.requests.clear()

    def count(self, method: str, pattern: str) -> int:
        """The number of requests for keys that match a glob."""
        with self._lock:
            return sum(one.method == method and fnmatchcase(one.key, pattern) for one in self.requests)

    async def _start(self) -> None:
        self._client = aiohttp.ClientSession(
            auto_decompress=False, connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout()
        )
        self._runner = web.ServerRunner(web.Server(self._handle, handler_cancellation=True, access_log=None))
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _stop(self) -> None:
        await self._client.close()
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        key = request.path.removeprefix(self._prefix)
        fault = self._note(request, key)
        if request.headers.get("Expect", "").lower() == "100-continue":
            assert isinstance(request.writer, StreamWriter)
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        if fault.status is not None:
            body = f"<Error><Code>{fault.code}</Code><Message>a test</Message></Error>".encode()
            return web.Response(status=fault.status, body=body if request.method != "HEAD" else b"")
        if fault.acknowledge:
            await request.content.read()
            return web.Response(status=200, headers={"ETag": '"0"'})
        return await self._pass_on(request, fault)

    def _note(self, request: web.BaseRequest, key: str) -> BucketFault:
        with self._lock:
            self.requests.append(S3Request(request.method, key, request.headers.get("Range")))
            honest = BucketFault(
                pattern=key,
                method=None,
                status=None,
                code="",
                acknowledge=False,
                truncate_at=None,
                flip_at=None,
                times=None,
            )
            fault = next((fault for fault in self._faults if fault.applies(request.method, key)), honest)
            fault.applied += 1
            return fault

    async def _pass_on(self, request: web.BaseRequest, fault: BucketFault) -> web.StreamResponse:
        url = self._target.join(URL(request.raw_path, encoded=True))
        async with self._client.request(
            request.method,
            url,
            headers=_passed(request.headers),
            data=io.BytesIO(body) if (body := await request.content.read()) else None,
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
        ) as answer:
            response = web.StreamResponse(status=answer.status, headers=_passed(answer.headers))
            response.content_length = int(answer.headers.get("Content-Length", 0))
            await response.prepare(request)
            with self._counted(request.method):
                await self._send(request, response, answer, fault)
            return response

    async def _send(
        self,
        request: web.BaseRequest,
        response: web.StreamResponse,
        answer: aiohttp.ClientResponse,
        fault: BucketFault,
    ) -> None:
        sent = 0
        async for chunk in answer.content.iter_chunked(PIECE):
            body = bytearray(chunk)
            if fault.flip_at is not None and sent <= fault.flip_at < sent + len(body):
                body[fault.flip_at - sent] ^= 1
            if fault.truncate_at is not None and sent + len(body) > fault.truncate_at:
                await response.write(bytes(body[: fault.truncate_at - sent]))
                assert request.transport is not None
                request.transport.close()
                return
            await response.write(bytes(body))
            sent += len(body)

    @contextmanager
    def _counted(self, method: str) -> Iterator[None]:
        """Count an answer to GET while it is in progress."""
        self.reading += method == "GET"
        try:
            yield
        finally:
            self.reading -= method == "GET"


def _passed(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the headers that the proxy passes on; the signature covers some of them, such as `Host`."""
    return [(name, value) for name, value in headers.items() if name.lower() not in HOP]
