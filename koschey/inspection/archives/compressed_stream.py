"""A compressed file as one counted stream of inflated bytes, whatever compresses it."""

from abc import ABC, abstractmethod
from typing import BinaryIO

from koschey.inspection.archives.limits import is_bomb
from koschey.inspection.archives.rules import ArchiveRule, refusal

CHUNK = 2**16


class CompressedStream(ABC):
    """The inflated bytes. Raises `Refused` if there are more than in an honest archive."""

    rule: ArchiveRule
    """The rule that a fault of the compression breaks."""

    def __init__(self, file: BinaryIO, filename: str, size: int) -> None:
        self._file = file
        self._filename = filename
        self._size = size
        self._buffer = b""
        self._at = 0
        self.position = 0
        """Position of the next byte that `read` returns."""

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

    @abstractmethod
    def _inflate(self) -> bytes:
        """Return the next piece, which may be empty, of at most `CHUNK` bytes."""

    @property
    @abstractmethod
    def _is_at_end(self) -> bool:
        """Whether the stream states that it has ended."""

    @property
    @abstractmethod
    def _leftover(self) -> bytes:
        """Bytes that were read from the file but are not part of the stream."""

    def _fill(self) -> bool:
        """Inflate the next piece. Returns False at the end."""
        self._buffer, self._at = b"", 0
        while not self._buffer:
            if self._is_at_end:
                self._check_end()
                return False
            self._buffer = self._inflate()
        if is_bomb(self.position + len(self._buffer), self._size):
            fault = f"inflates from {self._size} to more than {self.position} bytes, more than an honest archive would"
            raise refusal(ArchiveRule.BOMB, self._filename, fault, "Leave out empty data, or split the project.")
        return True

    def _check_end(self) -> None:
        if self._leftover or self._file.read(1):
            raise refusal(self.rule, self._filename, "has bytes after its end, which some tools read and some do not")
