"""Reading a gzip file (RFC 1952) as one counted stream: exactly one member, and nothing after it."""

import zlib
from typing import BinaryIO

from koschey.inspection.limits import is_bomb
from koschey.inspection.rules import Rule, refusal

CHUNK = 2**16
GZIP = zlib.MAX_WBITS | 16
"""Makes zlib read the header, and compare checksum and length at the end."""


class GzipStream:
    """The inflated bytes; ends with `Refused` where an honest archive would have ended before."""

    def __init__(self, file: BinaryIO, filename: str, size: int) -> None:
        self._file = file
        self._filename = filename
        self._size = size
        self._stream = zlib.decompressobj(GZIP)
        self._pending = b""
        self._buffer = b""
        self._at = 0
        self.position = 0
        """Of the next byte that `read` gives."""

    def read(self, length: int) -> bytes:
        """Return exactly that many bytes, or fewer at the end of the stream."""
        parts, missing = [], length
        while missing:
            if self._at == len(self._buffer) and not self._fill():
                break
            part = self._buffer[self._at : self._at + missing]
            self._at += len(part)
            missing -= len(part)
            parts.append(part)
        self.position += length - missing
        return b"".join(parts)

    def _fill(self) -> bool:
        """Inflate the next piece. False at the end."""
        self._buffer, self._at = b"", 0
        while not self._buffer:
            if self._stream.eof:
                self._check_end()
                return False
            self._pending = self._stream.unconsumed_tail or self._file.read(CHUNK)
            self._inflate()
        if is_bomb(self.position + len(self._buffer), self._size):
            fault = f"inflates from {self._size} to more than {self.position} bytes, more than an honest archive would"
            raise refusal(Rule.BOMB, self._filename, fault, "Leave out what is empty, or split the project.")
        return True

    def _inflate(self) -> None:
        try:
            self._buffer = self._stream.decompress(self._pending, CHUNK)
        except zlib.error as error:
            raise refusal(Rule.GZIP, self._filename, f"cannot be inflated ({error})") from None
        if not self._pending and not self._buffer and not self._stream.eof:
            raise refusal(Rule.GZIP, self._filename, "ends within its data")

    def _check_end(self) -> None:
        if self._stream.unused_data or self._file.read(1):
            raise refusal(Rule.GZIP, self._filename, "has bytes after its end, which some tools read and some do not")
