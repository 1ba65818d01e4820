"""Reads METADATA from pieces of a wheel: from the bucket if the wheel is stored, otherwise from its upstream."""

from dataclasses import dataclass

from koschey.db.pool import Pool
from koschey.errors import Damaged, UpstreamMalformed
from koschey.inspection.dists.partial_wheels import TAIL, read_wheel_metadata
from koschey.mirror.damage import report_damage
from koschey.model import File
from koschey.storage.s3 import Bucket, blob_key
from koschey.upstream.client import UpstreamClient


@dataclass(frozen=True, slots=True)
class WheelReader:
    """Reads METADATA of wheels. The code that stores a whole wheel compares its METADATA with what was read here."""

    pool: Pool
    bucket: Bucket
    upstream: UpstreamClient

    async def read(self, wheel: File) -> bytes:
        """Return the METADATA of a wheel, byte for byte.

        Raises `Refused` if the wheel has no readable METADATA, `RangesUnsupported` if its upstream sends only whole
        files, another `UpstreamError`, `EgressRefused`, and `StoreUnavailable`.
        """
        return await (self._from_bucket(wheel) if wheel.stored_at else self._from_upstream(wheel))

    async def _from_bucket(self, wheel: File) -> bytes:
        assert wheel.sha256 is not None
        assert wheel.size is not None
        key, size = blob_key(wheel.sha256), wheel.size

        async def read(start: int, stop: int) -> bytes:
            return b"".join([chunk async for chunk in self.bucket.stream(key, start, stop, size)])

        try:
            return await read_wheel_metadata(wheel.filename, size, read)
        except Damaged as error:
            await report_damage(self.pool, wheel, error)
            raise

    async def _from_upstream(self, wheel: File) -> bytes:
        assert wheel.upstream_url is not None
        url = wheel.upstream_url

        async def read(start: int, stop: int) -> bytes:
            piece = await self.upstream.fetch_range(url, f"{start}-{stop - 1}")
            if piece.start != start:
                raise UpstreamMalformed(f"{url} sends other bytes than Koschey requested")
            return piece.body

        # The tail first: if the page states no size, this answer does.
        tail = await self.upstream.fetch_range(url, f"-{TAIL}")
        if tail.start + len(tail.body) != tail.size:
            raise UpstreamMalformed(f"{url} sends other bytes than Koschey requested")
        # If the page states a digest, its size is only a claim, which the whole wheel will correct.
        if wheel.sha256 is None and wheel.size not in (None, tail.size):
            raise UpstreamMalformed(f"{url} has {tail.size} bytes, its page says {wheel.size}")
        return await read_wheel_metadata(wheel.filename, tail.size, read, tail.body)
