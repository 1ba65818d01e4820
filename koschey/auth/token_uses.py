"""Records when and from where each token was last used: at most once a minute, and behind the answer."""

import asyncio

import structlog

from koschey.auth.addresses import counted_address
from koschey.auth.expiring_cache import ExpiringCache
from koschey.db.pool import LOST, Pool
from koschey.db.token_uses import TokenUse, update_last_uses

log = structlog.get_logger()

PAUSE = 60.0
"""Minimum seconds between two records of a token by one process; all processes together keep it, too."""
DELAY = 1.0
"""Seconds for which uses are collected before one statement records them."""
MOST = 10_000
"""Maximum number of uses that are collected. Beyond it, uses are not recorded."""


class TokenUses:
    """Collects the uses of tokens. One per process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._recent = ExpiringCache[bool](PAUSE)
        self._collected: dict[str, TokenUse] = {}
        self._writing: asyncio.Task[None] | None = None

    def note(self, token: str, address: str | None) -> None:
        """Remember a use by the token's public id. Needs no time of the request: the record is written later."""
        if self._recent.get(token) or len(self._collected) >= MOST:
            return
        self._recent.put(token, True)
        self._collected[token] = TokenUse(token, counted_address(address) or None)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_later())

    async def close(self) -> None:
        """Record what is collected."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        await self._write()

    async def _write_later(self) -> None:
        try:
            while self._collected:
                await asyncio.sleep(DELAY)
                await self._write()
        finally:
            self._writing = None

    async def _write(self) -> None:
        collected, self._collected = self._collected, {}
        if not collected:
            return
        try:
            await update_last_uses(self._pool, list(collected.values()))
        except LOST as error:
            log.warning("the last use of tokens is not recorded", tokens=len(collected), error=repr(error))
