"""The one way from credentials to an account, for every door: panel, API, uploads, pages and files.

Wrong credentials are limited (`koschey.auth.guesses`). What is remembered, and for how long it outlives a revocation:

* A token that proved its account is not looked up again for a second, so a revoked one may read for so long. Only
  reading goes by this memory.
* A password that proved its account is not hashed again for five minutes. The account and its hash are read each time,
  so a new password, a disabled account and a lost role count at once. Limits are asked first: who has reached one
  cannot try passwords on this memory either.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from koschey.accounts import Account
from koschey.auth.guesses import Attempt, Guesses
from koschey.auth.identity import TOKEN_USER, authenticate_token, parse_authorization
from koschey.auth.memory import Memory
from koschey.auth.passwords import Check, PasswordChecks
from koschey.auth.tokens import parse_token
from koschey.concurrency.flights import Flights
from koschey.db.accounts import select_account
from koschey.db.pool import LOST, Pool
from koschey.errors import Busy, TooManyGuesses

log = structlog.get_logger()

REMEMBERED = 1.0
"""Seconds for which a token is not looked up again while it reads."""
COUNTING = 4
"""Attempts that are counted at once in one process: those on one account wait for each other in PostgreSQL."""
PROVEN = 300.0
"""Seconds for which a password is not hashed again."""

type Credentials = tuple[str, str]
"""A user and a password; of `__token__` the password is a token."""


@dataclass(frozen=True, slots=True)
class Login:
    """An account, and the public id of the token that proved it, if it was one."""

    account: str
    token: str | None


class Logins:
    """One per process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._guesses = Guesses(pool)
        self._checks = PasswordChecks()
        self._counting = asyncio.Semaphore(COUNTING)
        self._flights = Flights[tuple[str, ...], Account | None](outlive_clients=False)
        self._tokens = Memory[Login](REMEMBERED)
        self._proven = Memory[str](PROVEN)
        self._secret = secrets.token_bytes(32)
        self._beside: set[asyncio.Task[None]] = set()

    async def find(self, header: str | None, address: str | None) -> Login | None:
        """Return whom the `Authorization` header of a reader proves; None where it proves nobody, or is none.

        Raises as `prove` does.
        """
        credentials = parse_authorization(header)
        if credentials is None:
            return None
        return self._recall(credentials) or self._login(credentials, await self.prove(credentials, address))

    async def find_named(self, header: str | None, address: str | None) -> Login | None:
        """Do as `find`, where reading needs no credentials: whom they prove is only written down.

        Wrong ones, and more than can be checked, are as none. They count for themselves, so that a client with an old
        password locks nobody of its address out of the other doors.
        """
        credentials = parse_authorization(header)
        if credentials is None:
            return None
        try:
            return self._recall(credentials) or self._login(credentials, await self._name(credentials, address))
        except (TooManyGuesses, Busy):
            return None

    async def prove(self, credentials: Credentials, address: str | None) -> Account | None:
        """Return the account that the credentials prove, or None.

        Raises `TooManyGuesses` where the address has failed too often, and `Busy` where too many passwords wait.
        """
        user, password = credentials
        if user != TOKEN_USER:
            return await self.prove_password(user, password, address)
        account = await authenticate_token(self._pool, password)
        if account is None:
            await self._guesses.count_token(address)
        return account

    async def prove_password(self, user: str, password: str, address: str | None) -> Account | None:
        """Do as `prove`, where a token is no way in. Requests with the same credentials at once are one attempt."""

        async def attempt() -> Account | None:
            return await self._check(user, password, await self._guesses.judge(user, address))

        return await self._flights.join((user, password, address or ""), attempt)

    async def _name(self, credentials: Credentials, address: str | None) -> Account | None:
        user, password = credentials
        if user == TOKEN_USER:
            return await authenticate_token(self._pool, password)

        async def attempt() -> Account | None:
            return await self._check(user, password, await self._guesses.judge_reader(address))

        return await self._flights.join((user, password, address or "", "reader"), attempt)

    async def _check(self, user: str, password: str, attempt: Attempt) -> Account | None:
        """Compare the password. Takes as long for an account that is unknown, and for a name that none can have."""
        # No account's name holds a NUL, and PostgreSQL takes none.
        account = None if "\0" in user else await select_account(self._pool, user)
        stored = account.password_hash if account else None
        key = hmac.digest(self._secret, f"{user}\0{password}".encode(errors="surrogatepass"), "sha256").hex()
        if stored is not None and self._proven.get(key) == stored:
            return account
        async with self._counting:
            # Of many at once most are turned away: before anything is written down for them.
            self._checks.require_room(attempt.rank)
            turn = await self._guesses.count(attempt)
        check = Check(password, stored, turn.rank, turn.delay)
        try:
            is_right = await self._checks.run(check)
        except BaseException:
            if not check.began:
                self._do_beside(self._guesses.take_back(attempt))
            raise
        if not is_right or stored is None:
            return None
        self._proven.put(key, stored)
        await self._guesses.succeed(attempt)
        return account

    def _recall(self, credentials: Credentials) -> Login | None:
        return self._tokens.get(_digest(credentials[1])) if credentials[0] == TOKEN_USER else None

    def _login(self, credentials: Credentials, account: Account | None) -> Login | None:
        if account is None:
            return None
        parts = parse_token(credentials[1]) if credentials[0] == TOKEN_USER else None
        if parts is None:
            return Login(account.name, None)
        login = Login(account.name, parts.id)
        self._tokens.put(_digest(credentials[1]), login)
        return login

    def _do_beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Have work done though its request has ended. Where it fails time undoes the same."""

        async def try_to() -> None:
            try:
                await work
            except LOST as error:
                log.warning("an attempt that was not checked stays counted", error=repr(error))

        task = asyncio.create_task(try_to())
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)


def _digest(token: str) -> str:
    """Return what a token is remembered by: it need not lie in memory for longer than its request."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
