"""Relays parts of wheels from their upstream until they are stored, and downloads the whole in the background.

Such a part is not verified. docs/adr/0010-parts-of-wheels-before-they-are-stored.md explains why the relayed parts
never make a whole file, and which ranges wait for the whole instead.
"""

import asyncio
from dataclasses import dataclass

import structlog

from koschey.errors import EgressRefused, UpstreamError
from koschey.mirror.file_store import FileStore
from koschey.model import File
from koschey.upstream.client import UpstreamClient

log = structlog.get_logger()

MOST = 2**20
"""Maximum number of bytes of a part. A wheel of at most this size is downloaded whole as quickly as in part."""
PATIENCE = 10.0
"""Seconds to wait for a part; after that the client waits for the whole."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file that has `size` bytes."""

    start: int
    body: bytes
    size: int

    @property
    def stop(self) -> int:
        """The offset of the first byte after the part."""
        return self.start + len(self.body)


class Pieces:
    """Relays parts of wheels. One per process."""

    def __init__(self, upstream: UpstreamClient, store: FileStore) -> None:
        self._upstream = upstream
        self._store = store

    async def read(self, file: File, span: str, length: int) -> Piece | None:
        """Return a part of a wheel that is not stored, or None if the client must wait for the whole.

        `span` is `first-last` or `-length`, as in a `Range` header (RFC 9110, 14.1.2). `length` is its number of bytes.
        """
        start, _ = _extent(span, file.size or 0)
        if length > MOST or not self._may_relay(file) or (file.size and not _is_harmless(start, file.size)):
            return None
        assert file.upstream_url is not None
        try:
            async with asyncio.timeout(PATIENCE):
                found = await self._upstream.fetch_range(file.upstream_url, span)
        except (UpstreamError, EgressRefused, TimeoutError) as error:
            log.info("a part of a wheel could not be fetched", file=file.filename, span=span, error=str(error))
            return None
        piece = Piece(found.start, found.body, found.size)
        is_right = (piece.start, piece.stop) == _extent(span, piece.size) and file.size in (None, piece.size)
        # Checked again: another client may have begun to read the wheel since.
        if not (is_right and _is_harmless(piece.start, piece.size) and self._may_relay(file)):
            return None
        self._store.fetch_in_background(file)
        return piece

    def _may_relay(self, file: File) -> bool:
        is_trusted = file.sha256 is not None and file.mismatched_at is None and file.damage is None
        is_cold = file.stored_at is None and file.upstream_url is not None
        is_wheel = file.filename.endswith(".whl")
        return is_wheel and is_trusted and is_cold and not self._store.has_sent_bytes(file.id)


def _extent(span: str, size: int) -> tuple[int, int]:
    """Return the start and the end of a range in a file of `size` bytes; the file may end before the range does."""
    first, _, last = span.partition("-")
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(int(last) + 1, size)


def _is_harmless(start: int, size: int) -> bool:
    """Return whether parts that begin at `start` can never make a whole file."""
    return size > MOST and 2 * start >= size
