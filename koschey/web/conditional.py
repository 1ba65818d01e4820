"""ETag, 304, HEAD and byte ranges (RFC 9110, sections 9.3.2, 13 and 14), for every answer that has an ETag.

Only one range per request is supported; a request for several gets the whole file.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from quart import Quart, Response, request

RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Unsatisfiable(Exception):
    """The range contains no byte of the file: the answer is 416."""


def parse_bounded(header: str | None) -> tuple[str, int] | None:
    """Return a range whose length does not depend on the file's size, as `first-last` or `-length`, and the length.

    Returns None for every other range, including one without an end, with which a client resumes a download.
    """
    match = RANGE.fullmatch((header or "").strip())
    if match is None or not match[2]:
        return None
    length = int(match[2]) - int(match[1]) + 1 if match[1] else int(match[2])
    return (f"{match[1]}-{match[2]}", length) if length > 0 else None


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return `(start, stop)`, stop not included, or None for the whole file. Raises `Unsatisfiable`."""
    match = RANGE.fullmatch((header or "").strip())
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:
        if int(last) == 0 or size == 0:
            raise Unsatisfiable
        return max(0, size - int(last)), size
    start, stop = int(first), min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return None  # an invalid range is ignored
    if start >= size:
        raise Unsatisfiable
    return start, stop


def matches(if_none_match: str, etag: str) -> bool:
    """Return whether `If-None-Match` names this ETag (RFC 9110, 13.1.2)."""
    if not if_none_match:
        return False
    named = {part.strip().removeprefix("W/") for part in if_none_match.split(",")}
    return "*" in named or etag in named


def client_has(etag: str) -> bool:
    """Return whether the client of the current request says that it has the content with this ETag."""
    return request.method in ("GET", "HEAD") and matches(request.headers.get("If-None-Match", ""), etag)


def applicable_range(etag: str) -> str | None:
    """Return the `Range` of the current request, or None if `If-Range` (13.1.5) names another ETag than this one."""
    return request.headers.get("Range") if request.headers.get("If-Range") in (None, etag) else None


def not_modified(headers: dict[str, str]) -> Response:
    """Return 304; `headers` are those of the 200."""
    return Response(b"", 304, headers)


def full_response(body: bytes, headers: dict[str, str]) -> Response:
    """Return 200 with a body, or for HEAD with its length alone."""
    response = Response(b"" if request.method == "HEAD" else body, 200, headers)
    # Quart counts the bytes that are sent; for HEAD there are none.
    response.headers["Content-Length"] = str(len(body))
    return response


def full_unless_cached(body: bytes, headers: dict[str, str]) -> Response:
    """Return 304 if the client has the content that the header `ETag` names, else 200 with the body."""
    return not_modified(headers) if client_has(headers["ETag"]) else full_response(body, headers)


def streamed(
    content: AsyncIterator[bytes] | bytes, size: int, span: tuple[int, int] | None, headers: dict[str, str]
) -> Response:
    """Return 200 with a file of `size` bytes, or 206 with a part of it; the span does not include its stop."""
    response = Response(content, 206 if span else 200, headers)
    start, stop = span or (0, size)
    if span:
        response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    response.headers["Content-Length"] = str(stop - start)
    # Quart ends every response after a minute; a large file over a slow line takes longer.
    response.timeout = None
    return response


def as_response(answer: Answer) -> Response:
    """Return an answer as a response of Quart."""
    response = Response(answer.body, answer.status, answer.headers)
    if length := answer.headers.get("Content-Length"):
        response.headers["Content-Length"] = length
    return response


def register(app: Quart) -> None:
    """Remove the length and the type of the empty body from every 304: caches copy them to the answer that they store.

    RFC 9110, 8.6 and 15.4.5; RFC 9111, 4.3.4. Quart gives an answer without content a length of 0 and the type of HTML.
    """

    @app.after_request
    async def say_nothing_of_the_content(response: Response) -> Response:
        if response.status_code == 304:
            for name in ("Content-Length", "Content-Type"):
                response.headers.pop(name, None)
        return response
