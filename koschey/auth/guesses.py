"""Limits on guesses: how often credentials may fail, counted in PostgreSQL for all processes together.

Koschey remembers a failure for a while, and further failures add to that time (a leaky bucket). If an address, or an
address with one account, has too many failures, further attempts are refused before any password is hashed. Failures of
an account from all addresses only slow attempts down: nobody can lock the owner out from another address. An attempt
counts as a failure from its start, so that many attempts at once do not pass before the first one has failed.

Koschey uses no library for this: those that limit rates keep their counts in memory or in a Redis, and here one
statement is enough.
"""

import hashlib
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

from koschey.auth.addresses import counted_address
from koschey.db.login_traces import (
    Trace,
    delete_forgotten_traces,
    delete_trace,
    extend_traces,
    select_traces,
    shorten_traces,
    upsert_trace,
)
from koschey.db.pool import Pool
from koschey.errors import TooManyGuesses

LONGEST = timedelta(hours=1)
"""Maximum time for which failures are remembered, however many there were."""
KNOWN_FOR = timedelta(days=30)
"""How long an address stays known after an account logged in from it."""
SWEEP_EVERY = 60.0
"""Minimum seconds between two deletions of expired traces by one process."""
ROUNDING = 0.001


class Rank(IntEnum):
    """The order in which passwords are checked while many wait: lower ranks first."""

    KNOWN = 0
    """The account has logged in from this address before."""
    CLEAN = 1
    """Neither the address nor the account has failures."""
    CLEAN_ADDRESS = 2
    """The account has failures, all of them from other addresses."""
    FAILING = 3
    """The address has failures."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many failures in a row are allowed, and the seconds after which one of them is forgiven."""

    kind: str
    most: int
    forgiven_in: float

    def trace(self, subject: str) -> Trace:
        """Return the trace of one failure."""
        return Trace(self.kind, subject, timedelta(seconds=self.forgiven_in))

    def wait(self, remembered: dict[str, float]) -> float:
        """Return the seconds after which another failure is allowed; 0 if one is allowed now."""
        return max(0.0, remembered.get(self.kind, 0.0) - (self.most - 1) * self.forgiven_in)

    def is_exceeded(self, remembered: dict[str, float]) -> bool:
        """Return whether more failures are remembered than are allowed."""
        return remembered.get(self.kind, 0.0) > self.most * self.forgiven_in + ROUNDING


ADDRESS = Limit("address", 10, 30)
PAIR = Limit("pair", 10, 300)
ACCOUNT = Limit("account", 20, 15)
TOKEN = Limit("token", 100, 3)
"""For wrong tokens, by address. Nobody guesses 256 bits, so a right token is accepted however many were wrong."""
READER = Limit("reader", 10, 30)
"""For wrong passwords, by address, if reading needs no credentials. Too many are not hashed, but reading continues."""
CODE = Limit("code", 10, 30)
"""For wrong codes in signals, by release. Koschey does not know who sent them, so more only slow the reading down."""
KNOWN = "known"

SLOW = {Rank.KNOWN: 0.0, Rank.CLEAN: 0.5, Rank.CLEAN_ADDRESS: 0.5, Rank.FAILING: 2.0}
"""Seconds of delay before a password is checked whose account has exceeded its limit, by rank."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to log in with a password that no limit refuses."""

    counted: Sequence[tuple[Limit, Trace]]
    """The limits that count the attempt if it fails, and what it adds to each."""
    known: Trace | None = None
    """The trace that is kept if it succeeds."""
    is_known: bool = False
    """Whether that trace already exists."""
    rank: Rank = Rank.FAILING
    """Its rank before it is counted."""

    @property
    def traces(self) -> list[Trace]:
        """The traces that the attempt adds if it fails."""
        return [trace for _, trace in self.counted]


@dataclass(frozen=True, slots=True)
class CheckTurn:
    """The rank and the delay with which an attempt is checked."""

    rank: Rank
    delay: float
    """Seconds to wait before the attempt enters the queue."""


class Guesses:
    """Counts failures and applies the limits. Each process has one."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sweep_after = 0.0

    async def judge(self, account: str, address: str | None) -> Attempt:
        """Return an attempt on an account if no limit refuses it, else raise `TooManyGuesses`. Counts nothing."""
        source = counted_address(address)
        both, alone = _digest(source, account), _digest(account)
        known = Trace(KNOWN, both, KNOWN_FOR)
        counted = [(ADDRESS, ADDRESS.trace(source)), (PAIR, PAIR.trace(both)), (ACCOUNT, ACCOUNT.trace(alone))]
        found = await select_traces(self._pool, [*(trace for _, trace in counted), known])
        _refuse_after(max(ADDRESS.wait(found), PAIR.wait(found)))
        return Attempt(counted, known, KNOWN in found, _rank(found.keys()))

    async def judge_reader(self, address: str | None) -> Attempt:
        """Do the same as `judge`, for a client that reads while reading needs no credentials."""
        attempt = Attempt([(READER, READER.trace(counted_address(address)))])
        _refuse_after(READER.wait(await select_traces(self._pool, attempt.traces)))
        return attempt

    async def count(self, attempt: Attempt) -> CheckTurn:
        """Count the attempt as a failure, and return its turn among others.

        Raises `TooManyGuesses`, and counts nothing, if concurrent attempts have reached a limit meanwhile.
        """
        now = await extend_traces(self._pool, attempt.traces, LONGEST)
        await self._sweep()
        exceeded = [limit.wait(now) for limit, _ in attempt.counted if limit is not ACCOUNT and limit.is_exceeded(now)]
        if exceeded:
            await self.undo(attempt)
            raise TooManyGuesses(max(exceeded))
        # Only earlier attempts count for the rank, not this one.
        others = {limit.kind for limit, _ in attempt.counted if now[limit.kind] > limit.forgiven_in + ROUNDING}
        rank = _rank(others | ({KNOWN} if attempt.is_known else set())) if attempt.known else Rank.FAILING
        return CheckTurn(rank, SLOW[rank] if ACCOUNT.is_exceeded(now) else 0.0)

    async def undo(self, attempt: Attempt) -> None:
        """Undo `count`, because the attempt succeeded or was never checked."""
        await shorten_traces(self._pool, attempt.traces, LONGEST)

    async def succeed(self, attempt: Attempt) -> None:
        """Undo `count`, forget the address's failures with this account, and remember the address for the account."""
        await self.undo(attempt)
        for limit, trace in attempt.counted:
            if limit is PAIR:
                await delete_trace(self._pool, trace)
        if attempt.known is not None:
            await upsert_trace(self._pool, attempt.known)

    async def count_token(self, address: str | None) -> None:
        """Count a wrong token. Raises `TooManyGuesses` if the address has sent too many."""
        now = await extend_traces(self._pool, [TOKEN.trace(counted_address(address))], LONGEST)
        await self._sweep()
        if TOKEN.is_exceeded(now):
            raise TooManyGuesses(TOKEN.wait(now))

    async def count_codes(self, release: str, number: int) -> bool:
        """Count wrong codes that were sent for a release. Returns whether there are too many of them."""
        trace = CODE.trace(release)
        now = await extend_traces(self._pool, [trace._replace(span=number * trace.span)], LONGEST)
        await self._sweep()
        return CODE.is_exceeded(now)

    async def _sweep(self) -> None:
        if time.monotonic() >= self._sweep_after:
            self._sweep_after = time.monotonic() + SWEEP_EVERY
            await delete_forgotten_traces(self._pool)


def _rank(kinds: Collection[str]) -> Rank:
    """Return the rank of an attempt for which traces of these kinds are remembered."""
    if ADDRESS.kind in kinds or PAIR.kind in kinds:
        return Rank.FAILING
    if KNOWN in kinds:
        return Rank.KNOWN
    return Rank.CLEAN_ADDRESS if ACCOUNT.kind in kinds else Rank.CLEAN


def _refuse_after(wait: float) -> None:
    if wait > 0:
        raise TooManyGuesses(wait)


def _digest(*texts: str) -> str:
    """Return a digest that replaces names in the table, because people type passwords into the wrong field."""
    return hashlib.sha256("\0".join(texts).encode(errors="surrogatepass")).hexdigest()
