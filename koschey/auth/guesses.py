"""Limits on guesses: how often credentials may fail, counted in PostgreSQL for all processes together.

A failure is remembered for a while, and further failures add to that time (a leaky bucket). Failures of an address, and
of an address with one account, refuse further attempts before any password is hashed. Failures of an account from
everywhere only slow attempts down: nobody can lock the owner out from another address. An attempt counts as a failure
from its start, so that many at once do not slip through before the first one has failed.

No library is used: those that limit rates keep their counts in memory or in a Redis, and here is one statement.
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
    keep_trace,
    select_traces,
    shorten_traces,
)
from koschey.db.pool import Pool
from koschey.errors import TooManyGuesses

LONGEST = timedelta(hours=1)
"""No failure is remembered for longer, however many there were."""
KNOWN_FOR = timedelta(days=30)
"""How long an address is known from which an account has proved itself."""
SWEEP_EVERY = 60.0
"""Seconds between two sweeps of a process that counts failures."""
ROUNDING = 0.001


class Rank(IntEnum):
    """Whose password is checked first while many wait."""

    KNOWN = 0
    """The account has proved itself from this address before."""
    CLEAN = 1
    """Neither the address nor the account has failures."""
    CLEAN_ADDRESS = 2
    """The account has failures, all of them from elsewhere."""
    FAILING = 3
    """The address has failures."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many failures in a row are allowed, and the seconds in which one of them is forgiven."""

    kind: str
    most: int
    forgiven_in: float

    def trace(self, subject: str) -> Trace:
        """Return the trace of one failure."""
        return Trace(self.kind, subject, timedelta(seconds=self.forgiven_in))

    def wait(self, remembered: dict[str, float]) -> float:
        """Return after how many seconds another failure is allowed; 0 where one is allowed now."""
        return max(0.0, remembered.get(self.kind, 0.0) - (self.most - 1) * self.forgiven_in)

    def is_exceeded(self, remembered: dict[str, float]) -> bool:
        """Tell whether more failures are remembered than are allowed."""
        return remembered.get(self.kind, 0.0) > self.most * self.forgiven_in + ROUNDING


ADDRESS = Limit("address", 10, 30)
PAIR = Limit("pair", 10, 300)
ACCOUNT = Limit("account", 20, 15)
TOKEN = Limit("token", 100, 3)
"""Of wrong tokens, by address. Nobody guesses 256 bits: a right token is taken however many were wrong."""
READER = Limit("reader", 10, 30)
"""By address, where reading needs no credentials: wrong ones are not worth hashing, and take away nothing else."""
CODE = Limit("code", 10, 30)
"""Of codes in signals, by release. Nobody knows who sent them, so more only slow the reading of signals down."""
KNOWN = "known"

SLOW = {Rank.KNOWN: 0.0, Rank.CLEAN: 0.5, Rank.CLEAN_ADDRESS: 0.5, Rank.FAILING: 2.0}
"""Seconds before the check of a password whose account has reached its limit."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody who tries a password and has not reached a limit."""

    counted: Sequence[tuple[Limit, Trace]]
    """What the attempt adds to if it fails."""
    known: Trace | None = None
    """What is remembered if it does not."""
    is_known: bool = False
    """Whether that is remembered already."""
    rank: Rank = Rank.FAILING
    """Its rank before it is counted."""

    @property
    def traces(self) -> list[Trace]:
        """What it adds to, without the limits."""
        return [trace for _, trace in self.counted]


@dataclass(frozen=True, slots=True)
class Turn:
    """When an attempt is checked."""

    rank: Rank
    delay: float
    """Seconds to wait before it queues."""


class Guesses:
    """One per process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sweep_after = 0.0

    async def judge(self, account: str, address: str | None) -> Attempt:
        """Return an attempt on an account that may go on. Raises `TooManyGuesses`; counts nothing."""
        source = counted_address(address)
        both, alone = _digest(source, account), _digest(account)
        known = Trace(KNOWN, both, KNOWN_FOR)
        counted = [(ADDRESS, ADDRESS.trace(source)), (PAIR, PAIR.trace(both)), (ACCOUNT, ACCOUNT.trace(alone))]
        found = await select_traces(self._pool, [*(trace for _, trace in counted), known])
        _refuse_after(max(ADDRESS.wait(found), PAIR.wait(found)))
        return Attempt(counted, known, KNOWN in found, _rank(found.keys()))

    async def judge_reader(self, address: str | None) -> Attempt:
        """Do as `judge`, where reading needs no credentials."""
        attempt = Attempt([(READER, READER.trace(counted_address(address)))])
        _refuse_after(READER.wait(await select_traces(self._pool, attempt.traces)))
        return attempt

    async def count(self, attempt: Attempt) -> Turn:
        """Count the attempt as a failure, and return its turn among others.

        Raises `TooManyGuesses` where others were faster, and then counts nothing.
        """
        now = await extend_traces(self._pool, attempt.traces, LONGEST)
        await self._sweep()
        exceeded = [limit.wait(now) for limit, _ in attempt.counted if limit is not ACCOUNT and limit.is_exceeded(now)]
        if exceeded:
            await self.take_back(attempt)
            raise TooManyGuesses(max(exceeded))
        # Only what others did before it makes a difference.
        others = {limit.kind for limit, _ in attempt.counted if now[limit.kind] > limit.forgiven_in + ROUNDING}
        rank = _rank(others | ({KNOWN} if attempt.is_known else set())) if attempt.known else Rank.FAILING
        return Turn(rank, SLOW[rank] if ACCOUNT.is_exceeded(now) else 0.0)

    async def take_back(self, attempt: Attempt) -> None:
        """Undo `count`: it was no failure, or it was never checked."""
        await shorten_traces(self._pool, attempt.traces, LONGEST)

    async def succeed(self, attempt: Attempt) -> None:
        """Undo `count`, forgive the address its failures with this account, and remember that it proved the account."""
        await self.take_back(attempt)
        for limit, trace in attempt.counted:
            if limit is PAIR:
                await delete_trace(self._pool, trace)
        if attempt.known is not None:
            await keep_trace(self._pool, attempt.known)

    async def count_token(self, address: str | None) -> None:
        """Count a token that proved nobody. Raises `TooManyGuesses` where the address has sent too many."""
        now = await extend_traces(self._pool, [TOKEN.trace(counted_address(address))], LONGEST)
        await self._sweep()
        if TOKEN.is_exceeded(now):
            raise TooManyGuesses(TOKEN.wait(now))

    async def count_codes(self, release: str, number: int) -> bool:
        """Count wrong codes that were sent to a release; return whether there are too many of them."""
        trace = CODE.trace(release)
        now = await extend_traces(self._pool, [trace._replace(span=number * trace.span)], LONGEST)
        await self._sweep()
        return CODE.is_exceeded(now)

    async def _sweep(self) -> None:
        if time.monotonic() >= self._sweep_after:
            self._sweep_after = time.monotonic() + SWEEP_EVERY
            await delete_forgotten_traces(self._pool)


def _rank(kinds: Collection[str]) -> Rank:
    """Return the rank of an attempt about which these kinds are remembered."""
    if ADDRESS.kind in kinds or PAIR.kind in kinds:
        return Rank.FAILING
    if KNOWN in kinds:
        return Rank.KNOWN
    return Rank.CLEAN_ADDRESS if ACCOUNT.kind in kinds else Rank.CLEAN


def _refuse_after(wait: float) -> None:
    if wait > 0:
        raise TooManyGuesses(wait)


def _digest(*texts: str) -> str:
    """Return what stands for names in the table: people type passwords into the wrong field."""
    return hashlib.sha256("\0".join(texts).encode(errors="surrogatepass")).hexdigest()
