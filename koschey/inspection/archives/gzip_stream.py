"""Reads a gzip file (RFC 1952) as one counted stream: exactly one member, and nothing after it."""

import zlib
from typing import BinaryIO

from koschey.inspection.archives.compressed_stream import CHUNK, CompressedStream
from koschey.inspection.archives.rules import ArchiveRule, refusal

GZIP = zlib.MAX_WBITS | 16
"""Makes zlib read the header, and verify the checksum and the length at the end."""


class GzipStream(CompressedStream):
    """A `.tar.gz`, inflated."""

    rule = ArchiveRule.GZIP

    def __init__(self, file: BinaryIO, filename: str, size: int) -> None:
        super().__init__(file, filename, size)
        self._stream = zlib.decompressobj(GZIP)

    def _inflate(self) -> bytes:
        pending = self._stream.unconsumed_tail or self._file.read(CHUNK)
        try:
            piece = self._stream.decompress(pending, CHUNK)
        except zlib.error as error:
            raise refusal(ArchiveRule.GZIP, self._filename, f"cannot be inflated ({error})") from None
        if not pending and not piece and not self._stream.eof:
            raise refusal(ArchiveRule.GZIP, self._filename, "ends within its data")
        return piece

    @property
    def _is_at_end(self) -> bool:
        return self._stream.eof

    @property
    def _leftover(self) -> bytes:
        return self._stream.unused_data
