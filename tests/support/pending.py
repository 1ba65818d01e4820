"""Reads parts of the list of pending releases."""

from koschey.db.pending import PendingRelease, choose, count_pending, walk_pending
from koschey.db.pool import Database


async def read_part(
    db: Database,
    name_part: str | None = None,
    *,
    limit: int = 9,
    offset: int = 0,
) -> tuple[list[PendingRelease], int]:
    """A part of the pending releases, and their number, of which none was left out."""
    wanted = await choose(db, name_part)
    portions = walk_pending(db, wanted, limit=limit, offset=offset)
    total, at_least = await count_pending(db, wanted)
    assert not at_least
    return [release async for portion in portions for release in portion], total
