"""Files below `/packages/`, the core metadata and the provenance beside them: every form through the one verdict."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from quart import Blueprint, Response, request

from koschey.errors import Damaged
from koschey.mirror.ranges import Piece
from koschey.model import File, Origin
from koschey.web.answer import matches
from koschey.web.caching import immutable
from koschey.web.context import resources
from koschey.web.downloads import record_download
from koschey.web.errors import problem
from koschey.web.ranges import Unsatisfiable, parse_bounded, parse_range
from koschey.web.refusals import refuse

blueprint = Blueprint("files", __name__)

METADATA = ".metadata"
"""PEP 658: "appended to the URL of the file"."""
RECORD = ".provenance_url.json"
"""PEP 710's name of the file, appended in the same way."""


@blueprint.get("/packages/<path:rest>")
async def package(rest: str) -> Response:
    """Serve a file, or what stands beside it."""
    path = f"/packages/{rest}"
    beside = next((suffix for suffix in (METADATA, RECORD) if path.endswith(suffix)), "")
    judged = await resources().judged_files.at(path.removesuffix(beside))
    if judged is None:
        return problem(404, "No such file", "this index has no file under this path")
    if not judged.served:
        return await refuse(judged.item, beside)
    file = judged.file
    if beside == METADATA:
        return await _metadata(file)
    if beside == RECORD:
        return _record(file)
    return await _file(file)


async def _file(file: File) -> Response:
    try:
        return await _answer(file)
    except Damaged:
        # Nothing was sent, and the damage is noted: what an upstream has is fetched now.
        return await _answer(await resources().files.reload(file))


async def _answer(file: File) -> Response:
    if _is_known(file):
        return Response(b"", 304, _headers(file))
    head = request.method == "HEAD"
    if head and not file.stored_at and file.size and file.upstream_url is not None:
        return _respond(file, b"", file.size, None)
    if not head and (piece := await _cold_piece(file)):
        await record_download(file)
        return _respond(file, piece.body, piece.size, (piece.start, piece.stop))
    body = await resources().files.open(file)
    file = body.file
    if _is_known(file):
        return Response(b"", 304, _headers(file))
    try:
        span = parse_range(request.headers.get("Range"), body.size) if _range_applies(file) else None
    except Unsatisfiable:
        response = problem(416, "Range not satisfiable", f"{file.filename} has {body.size} bytes")
        response.headers["Content-Range"] = f"bytes */{body.size}"
        return response
    content = b"" if head else await _begun(file, body.read(*(span or (0, body.size))))
    return _respond(file, content, body.size, span)


async def _cold_piece(file: File) -> Piece | None:
    """Return a part of a wheel that is not stored, where the upstream may be asked for that alone."""
    wanted = parse_bounded(request.headers.get("Range"))
    if file.stored_at or wanted is None or not _range_applies(file):
        return None
    return await resources().pieces.read(file, *wanted)


async def _begun(file: File, chunks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Take the first bytes before an answer begins: where there are none it says why, and does not break off."""
    try:
        first = await anext(chunks, b"")
        await record_download(file)
    except BaseException:
        await chunks.aclose()
        raise

    async def go_on() -> AsyncGenerator[bytes]:
        async with aclosing(chunks):
            yield first
            async for chunk in chunks:
                yield chunk

    return go_on()


def _respond(file: File, content: AsyncIterator[bytes] | bytes, size: int, span: tuple[int, int] | None) -> Response:
    """Return 200 with a file of so many bytes, or 206 with a part of it."""
    response = Response(content, 206 if span else 200, _headers(file))
    start, stop = span or (0, size)
    if span:
        response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    response.headers["Content-Length"] = str(stop - start)
    # Quart ends every response after a minute; a large file over a slow line takes longer.
    response.timeout = None
    return response


def _headers(file: File) -> dict[str, str]:
    """Return the headers of a file. The type is never a guess: clients would undo a guessed encoding."""
    headers = {
        "Content-Type": "application/octet-stream",
        "Accept-Ranges": "bytes",
        "Cache-Control": immutable(resources().settings),
        "X-Content-Type-Options": "nosniff",
    }
    return headers | ({"ETag": f'"{file.sha256}"'} if file.sha256 else {})


def _is_known(file: File) -> bool:
    """Whether the client says that it has these bytes."""
    return bool(file.sha256) and matches(request.headers.get("If-None-Match", ""), f'"{file.sha256}"')


def _range_applies(file: File) -> bool:
    """RFC 9110, 13.1.5: a range counts only while `If-Range` names the bytes that we have."""
    condition = request.headers.get("If-Range")
    return condition is None or condition == f'"{file.sha256}"'


async def _metadata(file: File) -> Response:
    body = await resources().metadata.read(file)
    if body is None:
        return problem(404, "No core metadata", f"{file.filename} has no core metadata beside it")
    headers = {
        "Content-Type": "application/octet-stream",
        "Cache-Control": immutable(resources().settings),
        # Of what is sent: it may not be what the page promised when the file was found.
        "ETag": f'"{hashlib.sha256(body).hexdigest()}"',
    }
    if matches(request.headers.get("If-None-Match", ""), headers["ETag"]):
        return Response(b"", 304, headers)
    return Response(body, 200, headers)


def _record(file: File) -> Response:
    """Serve the PEP 710 record byte for byte; the origin tells why there is none, or will be one."""
    if file.record is None:
        hosted = file.upstream_url is None
        why = "was uploaded here" if hosted else "was not downloaded from the upstream yet"
        origin = Origin.HOSTED if hosted else Origin.MIRRORED
        return problem(404, "No provenance", f"{file.filename} {why}", origin=origin)
    body = file.record.encode()
    headers = {
        "Content-Type": "application/json",
        "Cache-Control": immutable(resources().settings),
        "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"',
        "X-Content-Type-Options": "nosniff",
    }
    if matches(request.headers.get("If-None-Match", ""), headers["ETag"]):
        return Response(b"", 304, headers)
    response = Response(b"" if request.method == "HEAD" else body, 200, headers)
    response.headers["Content-Length"] = str(len(body))
    return response
