"""Passwords of local accounts: argon2id in a small pool of threads, so that logins cannot overload the machine.

Checks wait in a queue, the best rank first. A check leaves the queue undone if its client has disconnected, or if it
has waited too long.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from koschey.auth.guesses import Rank
from koschey.errors import Busy

HASHER = PasswordHasher()
AT_ONCE = 2
"""Maximum number of checks at once in one process: each needs 64 MiB and a quarter of a second of a core."""
WAITING = 20
"""Maximum number of checks that wait in one process."""
PATIENCE = 10.0
"""Maximum seconds for which a check waits in the queue."""
KEPT = Rank.CLEAN_ADDRESS
"""One of the places is reserved for this rank and better ones."""
POOL = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="password")
NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$ne6Cd3Z88P3/alXoasQFRw$hEhEqOkIKUWeFbYv/Wa1ol7yg1ElJpgF9gXbKZuCWpg"
"""The hash that is checked if the account does not exist, so that the time of an answer reveals nothing: a random
password, with the parameters of `HASHER`. A constant, because each start would spend a quarter of a second on it."""


async def hash_password(password: str) -> str:
    """Return the hash of a password, as it is stored."""
    return await asyncio.get_running_loop().run_in_executor(POOL, HASHER.hash, password)


@dataclass(eq=False, slots=True)
class PasswordCheck:
    """One comparison of a password with a stored hash."""

    password: str = field(repr=False)
    stored: str | None = field(repr=False)
    rank: Rank
    delay: float = 0.0
    """Seconds to wait before the check enters the queue."""
    began: bool = False
    """Whether hashing has begun. The work then completes even if no client waits for it."""
    turn: asyncio.Future[None] = field(init=False)


class PasswordChecks:
    """Runs checks in the order of their ranks, within the limits. Each process has one."""

    def __init__(self) -> None:
        self._running: list[PasswordCheck] = []
        self._waiting: list[PasswordCheck] = []
        self._delayed = 0

    def require_room(self, rank: Rank) -> None:
        """Raise `Busy` if a check of this rank would be refused now."""
        if len(self._waiting) >= WAITING and all(check.rank <= rank for check in self._waiting):
            raise _too_many()

    async def run(self, check: PasswordCheck) -> bool:
        """Return whether the password is right, equally slowly if no hash is stored. Raises `Busy` if too many wait."""
        if check.delay:
            await self._delay(check.delay)
        await self._wait_for_turn(check)
        check.began = True
        work = POOL.submit(_verify, check.stored or NOBODY, check.password)
        # A thread cannot be stopped: its place is free when its work has ended, not when its client stops waiting.
        work.add_done_callback(partial(_call_in, asyncio.get_running_loop(), partial(self._end, check)))
        return await asyncio.wrap_future(work) and bool(check.stored)

    async def _delay(self, seconds: float) -> None:
        if self._delayed >= WAITING:
            raise _too_many()
        self._delayed += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self._delayed -= 1

    async def _wait_for_turn(self, check: PasswordCheck) -> None:
        """Wait until the check has one of the places."""
        self._enqueue(check)
        try:
            async with asyncio.timeout(PATIENCE):
                await check.turn
        except BaseException as error:
            if check in self._waiting:
                self._waiting.remove(check)
            if check in self._running:
                self._end(check)
            if isinstance(error, TimeoutError):
                raise _too_many() from None
            raise

    def _enqueue(self, check: PasswordCheck) -> None:
        """Add a check to the queue. If the queue is full, the last check of the worst rank is refused."""
        check.turn = asyncio.get_running_loop().create_future()
        self._waiting.append(check)
        self._waiting.sort(key=lambda each: each.rank)  # stable: earlier checks stay first in their rank
        self._begin()
        if len(self._waiting) > WAITING:
            self._waiting.pop().turn.set_exception(_too_many())

    def _begin(self) -> None:
        """Give free places to the first checks that may have them."""
        self._waiting = [check for check in self._waiting if not check.turn.done()]
        for check in [*self._waiting]:
            if self._has_place(check):
                self._waiting.remove(check)
                self._running.append(check)
                check.turn.set_result(None)

    def _has_place(self, check: PasswordCheck) -> bool:
        is_reserved = check.rank > KEPT and any(each.rank > KEPT for each in self._running)
        return len(self._running) < AT_ONCE and not is_reserved

    def _end(self, check: PasswordCheck) -> None:
        self._running.remove(check)
        self._begin()


def _verify(stored: str, password: str) -> bool:
    try:
        return HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def _call_in(loop: asyncio.AbstractEventLoop, work: Callable[[], None], _: Future[bool]) -> None:
    with suppress(RuntimeError):  # the process is stopping, and its loop is closed
        loop.call_soon_threadsafe(work)


def _too_many() -> Busy:
    return Busy("Too many passwords are being checked. Try again in a few seconds.")
