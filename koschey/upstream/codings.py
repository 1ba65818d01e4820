"""Decodes the content codings of HTTP (RFC 9110, 8.4): at most three of one answer, within a limit of bytes.

It decodes only documents. The digest identifies a file, whatever coding a server states for it.
"""

import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Protocol

from koschey.errors import UpstreamMalformed, UpstreamUnavailable

ACCEPTED = "gzip, deflate"
"""The codings that Koschey requests. Servers also send `x-gzip`, which means the same (RFC 9110, 8.4.1.3)."""
MAX_CODINGS = 3
CHUNK = 256 * 2**10
"""Maximum number of bytes of one step, so that a bomb is noticed before it is in memory."""


class _Decoder(Protocol):
    @property
    def is_whole(self) -> bool: ...

    def feed(self, data: bytes) -> Iterator[bytes]: ...


class _Deflated:
    """One stream of zlib. The coding `deflate` should have zlib's frame, and with some servers has none."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj()
        self._began = False

    @property
    def is_whole(self) -> bool:
        """Whether the stream is complete."""
        return self._stream.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode the next bytes. Raises `zlib.error`."""
        if not self._began:
            self._began = True
            # RFC 1950, 2.2: the method, and a check of both bytes.
            if data[0] & 0x0F != zlib.DEFLATED or int.from_bytes(data[:2]) % 31:
                self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        yield from _inflate(self._stream, data)


class _Gzipped:
    """Members of gzip, one after another (RFC 1952, 2.2)."""

    def __init__(self) -> None:
        self._stream = _new_member()

    @property
    def is_whole(self) -> bool:
        """Whether the last member is complete."""
        return self._stream.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode the next bytes. Raises `zlib.error`."""
        while data:
            if self._stream.eof:
                # Zeros that fill a block are no member.
                data = data.lstrip(b"\0")
                if not data:
                    return
                self._stream = _new_member()
            yield from _inflate(self._stream, data)
            data = self._stream.unused_data


DECODERS: dict[str, type[_Deflated] | type[_Gzipped]] = {"gzip": _Gzipped, "x-gzip": _Gzipped, "deflate": _Deflated}


async def decode(chunks: AsyncIterator[bytes], named: Iterable[str], limit: int, where: str, hint: str = "") -> bytes:
    """Return the decoded body; `named` are the values of `Content-Encoding`, `where` is the URL for messages.

    Raises `UpstreamMalformed` for a coding that was not requested, for a body in another coding, and for more than
    `limit` bytes before or after any coding; `UpstreamUnavailable` if the body ends too soon.
    """
    decoders = _decoders(named, where)
    sizes = [0] * (len(decoders) + 1)
    body = bytearray()

    def decode_stage(data: bytes, stage: int) -> None:
        sizes[stage] += len(data)
        if sizes[stage] > limit:
            raise UpstreamMalformed(f"{where} is larger than {limit / 2**20:g} MiB{hint}")
        if stage == len(decoders):
            body.extend(data)
            return
        for piece in decoders[stage].feed(data):
            decode_stage(piece, stage + 1)

    try:
        async for chunk in chunks:
            decode_stage(chunk, 0)
    except zlib.error as error:
        raise UpstreamMalformed(f"{where} is not in the content coding that it names: {error}") from None
    if not all(decoder.is_whole for decoder in decoders):
        raise UpstreamUnavailable(f"{where} broke off in the middle of its content coding")
    return bytes(body)


def _decoders(named: Iterable[str], where: str) -> list[_Decoder]:
    """Return the decoders in the order of decoding: the coding that was applied last comes first."""
    listed = [coding.strip().lower() for value in named for coding in value.split(",")]
    codings = [coding for coding in listed if coding not in ("", "identity")]
    if unknown := [coding for coding in codings if coding not in DECODERS]:
        raise UpstreamMalformed(f"{where} is in the content coding {unknown[0][:40]!r}, which was not requested")
    if len(codings) > MAX_CODINGS:
        raise UpstreamMalformed(f"{where} is in {len(codings)} content codings; Koschey accepts at most {MAX_CODINGS}")
    return [DECODERS[coding]() for coding in reversed(codings)]


def _new_member() -> "zlib._Decompress":
    return zlib.decompressobj(zlib.MAX_WBITS | 16)


def _inflate(stream: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    while not stream.eof:
        piece = stream.decompress(data, CHUNK)
        data = stream.unconsumed_tail
        if piece:
            yield piece
        if not data and len(piece) < CHUNK:
            return
