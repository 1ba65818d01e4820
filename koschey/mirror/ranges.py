"""Parts of wheels that are not stored yet, as their upstream serves them, while the whole is fetched behind.

Such a part is not verified. docs/adr/0010-parts-of-wheels-before-they-are-stored.md says why the parts that are sent
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
"""Bytes of a part, and of a wheel that is fetched as a whole as quickly as in part."""
PATIENCE = 10.0
"""Seconds to wait for a part; then the whole is waited for."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file that has `size` bytes."""

    start: int
    body: bytes
    size: int

    @property
    def stop(self) -> int:
        """Where it ends, not included."""
        return self.start + len(self.body)


class Pieces:
    """Relays parts of wheels. One per process."""

    def __init__(self, upstream: UpstreamClient, store: FileStore) -> None:
        self._upstream = upstream
        self._store = store

    async def read(self, file: File, span: str, length: int) -> Piece | None:
        """Return a part of a wheel that is not stored; None where the whole must be waited for.

        `span` is `first-last` or `-length`, as in a `Range` header (RFC 9110, 14.1.2), and `length` its bytes.
        """
        start, _ = _extent(span, file.size or 0)
        if length > MOST or not self._may_relay(file) or (file.size and not _is_harmless(start, file.size)):
            return None
        assert file.upstream_url is not None
        try:
            async with asyncio.timeout(PATIENCE):
                found = await self._upstream.fetch_range(file.upstream_url, span)
        except (UpstreamError, EgressRefused, TimeoutError) as error:
            log.info("a part of a wheel cannot be had", file=file.filename, span=span, error=str(error))
            return None
        piece = Piece(found.start, found.body, found.size)
        is_right = (piece.start, piece.stop) == _extent(span, piece.size) and file.size in (None, piece.size)
        # Asked again: meanwhile another client may have begun to read the wheel.
        if not (is_right and _is_harmless(piece.start, piece.size) and self._may_relay(file)):
            return None
        self._store.fetch_behind(file)
        return piece

    def _may_relay(self, file: File) -> bool:
        is_trusted = file.sha256 is not None and file.mismatched_at is None and file.damage is None
        is_cold = file.stored_at is None and file.upstream_url is not None
        is_wheel = file.filename.endswith(".whl")
        return is_wheel and is_trusted and is_cold and not self._store.has_handed_out(file.id)


def _extent(span: str, size: int) -> tuple[int, int]:
    """Return where a range of a file of so many bytes begins and ends; a file may end before its range does."""
    first, _, last = span.partition("-")
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(int(last) + 1, size)


def _is_harmless(start: int, size: int) -> bool:
    """Tell whether parts that begin there never make a whole file."""
    return size > MOST and 2 * start >= size
