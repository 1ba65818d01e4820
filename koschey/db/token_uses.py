"""Records the last use of tokens."""

from collections.abc import Sequence
from typing import NamedTuple

from koschey.db.pool import Database

# The clock of PostgreSQL counts; a use that another process recorded within a minute is not recorded again.
UPDATE_LAST_USES = """
    UPDATE token SET last_used_at = koschey_now(), last_used_from = used.address
      FROM unnest($1::text[], $2::text[]) AS used (id, address)
     WHERE token.id = used.id
       AND (token.last_used_at IS NULL OR token.last_used_at <= koschey_now() - interval '1 minute')
"""


class TokenUse(NamedTuple):
    """A use of a token."""

    token: str
    address: str | None


async def update_last_uses(db: Database, uses: Sequence[TokenUse]) -> None:
    """Record the uses of tokens that were not recorded within the last minute."""
    await db.execute(UPDATE_LAST_USES, *(list(column) for column in zip(*uses, strict=True)))
