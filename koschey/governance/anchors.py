"""Anchors of the journal: copies of its last digest in the bucket, `journal/<serial>.json`.

An attacker who can write to PostgreSQL can write another journal with correct digests. They differ from those of the
anchors. With S3 Object Lock, the bucket protects the anchors from its own users.
"""

import asyncio
import re

from msgspec import DecodeError, Struct, ValidationError
from msgspec.json import decode, encode

from koschey.db.journal_chain import select_chain_head
from koschey.db.pool import Pool
from koschey.errors import StoreUnavailable
from koschey.storage.s3 import Bucket

PREFIX = "journal/"
EVERY = 3600.0
"""Seconds between two anchors of one worker; a journal without new entries gets none."""
AT_ONCE = 16
"""Anchors that are read at a time."""
KEY = re.compile(rf"{PREFIX}(\d{{15}})\.json")


class Anchor(Struct, frozen=True):
    """The digest of the journal's last entry at some time."""

    serial: int
    digest: str
    """In hexadecimal digits."""


async def keep_anchoring(pool: Pool, bucket: Bucket) -> None:
    """Write an anchor now, and again whenever an hour has passed and the journal has grown. Has no end."""
    last: Anchor | None = None
    while True:
        last = await write_anchor(pool, bucket, last)
        await asyncio.sleep(EVERY)


async def write_anchor(pool: Pool, bucket: Bucket, last: Anchor | None = None) -> Anchor | None:
    """Write an anchor unless the last entry is that of `last`, and return it. None if no entry has a digest.

    Raises `StoreUnavailable` if the bucket did not keep it.
    """
    head = await select_chain_head(pool)
    if head is None or (last and last.serial == head.serial):
        return last
    anchor = Anchor(head.serial, head.digest.hex())
    await bucket.put(f"{PREFIX}{anchor.serial:015}.json", encode(anchor))
    return anchor


async def read_anchors(bucket: Bucket) -> dict[int, bytes]:
    """Return the digests of all anchors by serial.

    Raises `StoreUnavailable` if the bucket does not answer, or if an anchor cannot be read: it may have been replaced.
    """
    keys = [key for key in await bucket.keys_below(PREFIX) if KEY.fullmatch(key)]
    turns = asyncio.Semaphore(AT_ONCE)

    async def read(key: str) -> tuple[int, bytes]:
        async with turns:
            body = await bucket.get(key)
        try:
            anchor = decode(body, type=Anchor)
            digest = bytes.fromhex(anchor.digest)
        except (DecodeError, ValidationError, ValueError) as error:
            raise StoreUnavailable(f"the anchor {key} in the bucket cannot be read: {error}") from None
        if f"{PREFIX}{anchor.serial:015}.json" != key:
            raise StoreUnavailable(f"the anchor {key} in the bucket is that of entry {anchor.serial}")
        return anchor.serial, digest

    return dict(await asyncio.gather(*map(read, keys)))
