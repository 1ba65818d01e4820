"""Serves files below `/packages/`, their core metadata and their records. One verdict decides about all three."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from quart import Blueprint, Response, request

from koschey.auth.permissions import Action
from koschey.errors import Damaged, JustChanged
from koschey.mirror.ranges import Piece
from koschey.model import File, Origin, Sha256
from koschey.storage.s3 import blob_key
from koschey.web.access import needs
from koschey.web.caching import immutable
from koschey.web.conditional import (
    Unsatisfiable,
    applicable_range,
    client_has,
    full_unless_cached,
    not_modified,
    parse_bounded,
    parse_range,
    streamed,
)
from koschey.web.context import resources
from koschey.web.downloads import record_download
from koschey.web.errors import problem
from koschey.web.refusals import refuse

blueprint = Blueprint("files", __name__)

METADATA = ".metadata"
"""Suffix for the core metadata (PEP 658): "appended to the URL of the file"."""
RECORD = ".provenance_url.json"
"""Suffix for the record, which PEP 710 names; it is appended in the same way."""


@blueprint.get("/packages/<path:rest>")
@needs(Action.READ)
async def package(rest: str) -> Response:
    """Serve a file, its core metadata or its record."""
    path = f"/packages/{rest}"
    beside = next((suffix for suffix in (METADATA, RECORD) if path.endswith(suffix)), "")
    file = resources().pages.cached_file(path.removesuffix(beside))
    if file is not None:
        # The snapshot may be older than the last commit; then the rows decide.
        with suppress(JustChanged):
            return await _respond(file, beside)
    judged = await resources().judged_files.at(path.removesuffix(beside))
    if judged is None:
        return problem(404, "No such file", "this index has no file under this path")
    if not judged.served:
        return await refuse(judged.item, beside)
    resources().pages.build_in_background(judged.file.project)
    return await _respond(judged.file, beside)


async def _respond(file: File, beside: str) -> Response:
    if beside == METADATA:
        return await _metadata(file)
    if beside == RECORD:
        # Another process may have stored the file since the snapshot was built.
        is_unknown = file.record is None and file.upstream_url is not None
        return _record(await resources().files.reload(file) if is_unknown else file)
    return await _file(file)


async def _file(file: File) -> Response:
    if _is_known(file):
        return not_modified(_headers(file))
    seconds = resources().settings.redirects_for
    if seconds and request.method == "GET" and file.stored_at and file.sha256:
        return await _redirect(file, file.sha256, seconds)
    try:
        return await _answer(file)
    except Damaged:
        # No byte has been sent, and the damage is recorded: a mirrored file is now downloaded again.
        return await _answer(await resources().files.reload(file))


async def _answer(file: File) -> Response:
    head, wanted = request.method == "HEAD", applicable_range(_etag(file))
    if head and not file.stored_at and file.size and file.upstream_url is not None:
        return streamed(b"", file.size, None, _headers(file))
    if not head and (piece := await _cold_piece(file, wanted)):
        await record_download(file)
        return streamed(piece.body, piece.size, (piece.start, piece.stop), _headers(file))
    body = await resources().files.open(file)
    file = body.file
    if _is_known(file):
        return not_modified(_headers(file))
    try:
        span = parse_range(applicable_range(_etag(file)), body.size)
    except Unsatisfiable:
        response = problem(416, "Range not satisfiable", f"{file.filename} has {body.size} bytes")
        response.headers["Content-Range"] = f"bytes */{body.size}"
        return response
    content = b"" if head else await _begun(file, body.read(*(span or (0, body.size))))
    return streamed(content, body.size, span, _headers(file))


async def _redirect(file: File, sha256: Sha256, seconds: int) -> Response:
    """Record the download, and send the client to the bucket."""
    url = await resources().bucket.sign_url(blob_key(sha256), seconds)
    await record_download(file)
    return Response(b"", 302, {"Location": url, "Cache-Control": "no-store"})


async def _cold_piece(file: File, wanted: str | None) -> Piece | None:
    """Return a part of a wheel that is not stored, or None if the client has to wait for the whole wheel."""
    bounded = parse_bounded(wanted)
    if file.stored_at or bounded is None:
        return None
    return await resources().pieces.read(file, *bounded)


async def _begun(file: File, chunks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Read the first bytes and record the download before the answer begins, so that a failure becomes an error."""
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


def _headers(file: File) -> dict[str, str]:
    """Return the headers of a file. The type is not guessed, because clients would decode a guessed encoding."""
    headers = {
        "Content-Type": "application/octet-stream",
        "Accept-Ranges": "bytes",
        "Cache-Control": immutable(resources().settings),
        "X-Content-Type-Options": "nosniff",
    }
    return headers | ({"ETag": _etag(file)} if file.sha256 else {})


def _etag(file: File) -> str:
    return f'"{file.sha256}"'


def _is_known(file: File) -> bool:
    """Return whether the client says that it has these bytes."""
    return bool(file.sha256) and client_has(_etag(file))


async def _metadata(file: File) -> Response:
    body = await resources().metadata.read(file)
    if body is None:
        return problem(404, "No core metadata", f"this index has no core metadata of {file.filename}")
    # The digest of the bytes that are sent: they may differ from those that the page listed.
    digest = Sha256(hashlib.sha256(body).hexdigest())
    if digest == file.core_metadata:
        resources().shelf.keep_small(digest, body)
        resources().pages.note_metadata_stored(file)
    headers = {
        "Content-Type": "application/octet-stream",
        "Cache-Control": immutable(resources().settings),
        "ETag": f'"{digest}"',
        "X-Content-Type-Options": "nosniff",
    }
    return full_unless_cached(body, headers)


def _record(file: File) -> Response:
    """Serve the PEP 710 record byte for byte. If there is none, the 404 names the origin, which explains why."""
    if file.record is None:
        hosted = file.upstream_url is None
        why = "was uploaded here" if hosted else "has not been downloaded from the upstream yet"
        origin = Origin.HOSTED if hosted else Origin.MIRRORED
        return problem(404, "No provenance", f"{file.filename} {why}", origin=origin)
    body = file.record.encode()
    headers = {
        "Content-Type": "application/json",
        "Cache-Control": immutable(resources().settings),
        "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"',
        "X-Content-Type-Options": "nosniff",
    }
    return full_unless_cached(body, headers)
