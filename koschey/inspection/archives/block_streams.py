"""Reads bzip2 and xz files as one counted stream: exactly one stream in each, and nothing after it."""

import bz2
import lzma
from abc import abstractmethod
from typing import BinaryIO

from koschey.inspection.archives.compressed_stream import CHUNK, CompressedStream
from koschey.inspection.archives.limits import MIB
from koschey.inspection.archives.rules import ArchiveRule, refusal

MAX_DICTIONARY = 128 * MIB
"""Maximum memory of an xz decoder, in bytes; a file of `xz -9` needs 65 MiB."""


class BlockStream(CompressedStream):
    """The common part of both: the standard library's decompressors have the same interface."""

    def __init__(self, file: BinaryIO, filename: str, size: int) -> None:
        super().__init__(file, filename, size)
        self._stream = self._open()

    @abstractmethod
    def _open(self) -> bz2.BZ2Decompressor | lzma.LZMADecompressor:
        """Return a decompressor."""

    def _inflate(self) -> bytes:
        block = self._file.read(CHUNK) if self._stream.needs_input else b""
        if self._stream.needs_input and not block:
            raise refusal(self.rule, self._filename, "ends within its data")
        try:
            return self._stream.decompress(block, CHUNK)
        except (OSError, lzma.LZMAError) as error:
            raise refusal(self.rule, self._filename, f"cannot be inflated ({error})") from None

    @property
    def _is_at_end(self) -> bool:
        return self._stream.eof

    @property
    def _leftover(self) -> bytes:
        return self._stream.unused_data


class Bzip2Stream(BlockStream):
    """A `.tar.bz2`, inflated."""

    rule = ArchiveRule.BZIP2

    def _open(self) -> bz2.BZ2Decompressor:
        return bz2.BZ2Decompressor()


class XzStream(BlockStream):
    """A `.tar.xz`, inflated."""

    rule = ArchiveRule.XZ

    def _open(self) -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_DICTIONARY)
