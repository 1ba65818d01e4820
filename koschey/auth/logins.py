"""Finds the account of credentials, for every door: panel, API, uploads, pages and files.

`koschey.auth.guesses` limits wrong credentials. Two results are cached:

* A right token is not looked up again for 0.9 seconds. Only reading uses this cache. A change of accounts, grants or
  tokens clears it in every process at once; if the notification does not arrive, a revoked token may read for that
  long.
* A right password is not hashed again for 5 minutes. The account and its hash are read each time, so a new password, a
  disabled account and a removed role take effect at once. Limits are checked first: a client that has reached one
  cannot try passwords against this cache either.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog

from koschey.accounts import Account
from koschey.auth.expiring_cache import ExpiringCache
from koschey.auth.guesses import Attempt, Guesses
from koschey.auth.identity import TOKEN_USER, authenticate_token, parse_authorization
from koschey.auth.passwords import PasswordCheck, PasswordChecks
from koschey.auth.token_uses import TokenUses
from koschey.concurrency.flights import Flights
from koschey.db.accounts import select_account
from koschey.db.pool import LOST, Pool
from koschey.errors import Busy, TooManyGuesses

log = structlog.get_logger()

REMEMBERED = 0.9
"""Seconds for which a token that reads is not looked up again. With the time that a response needs to leave this
process, a revocation is active everywhere one second after its commit, also if no notification arrives."""
COUNTING = 4
"""Maximum number of attempts that a process counts at once. Those on one account wait for each other in PostgreSQL."""
PROVEN = 300.0
"""Seconds for which a password is not hashed again."""

type Credentials = tuple[str, str]
"""A user and a password; the password of `__token__` is a token."""


@dataclass(frozen=True, slots=True)
class Login:
    """The name of an account, the public id of the token, if the client used one, and who they are."""

    account: str
    token: str | None
    identity: Account = field(repr=False, compare=False)
    """The account with its rights; the token's limits are part of it."""


class Logins:
    """Checks credentials, and caches the results. Each process has one."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._guesses = Guesses(pool)
        self._checks = PasswordChecks()
        self._counting = asyncio.Semaphore(COUNTING)
        self._flights = Flights[tuple[str, ...], Account | None](outlive_clients=False)
        self._tokens = ExpiringCache[Login](REMEMBERED)
        self._changes = 0
        self.uses = TokenUses(pool)
        self._proven = ExpiringCache[str](PROVEN)
        self._secret = secrets.token_bytes(32)
        self._beside: set[asyncio.Task[None]] = set()

    async def find(self, header: str | None, address: str | None) -> Login | None:
        """Return the login of the `Authorization` header of a reader; None if there is none, or if it is wrong.

        Raises the same errors as `prove`.
        """
        credentials = parse_authorization(header)
        if credentials is None:
            return None
        if (cached := self._cached(credentials, address)) is not None:
            return cached
        changes = self._changes
        return self._login(credentials, await self.prove(credentials, address), changes)

    async def find_named(self, header: str | None, address: str | None) -> Login | None:
        """Do the same as `find`, if reading needs no credentials: the account is only recorded.

        Returns None for wrong credentials, and if too many must be checked. Their failures are counted separately, so
        that a client with an old password does not lock its address out of the other doors.
        """
        credentials = parse_authorization(header)
        if credentials is None:
            return None
        if (cached := self._cached(credentials, address)) is not None:
            return cached
        changes = self._changes
        try:
            return self._login(credentials, await self._name(credentials, address), changes)
        except (TooManyGuesses, Busy):
            return None

    async def prove(self, credentials: Credentials, address: str | None) -> Account | None:
        """Return the account of the credentials, or None if they are wrong.

        Raises `TooManyGuesses` if the address has failed too often, and `Busy` if too many passwords wait for a check.
        """
        user, password = credentials
        if user != TOKEN_USER:
            return await self.prove_password(user, password, address)
        account = await self._authenticate_token(password, address)
        if account is None:
            await self._guesses.count_token(address)
        return account

    def forget_tokens(self) -> None:
        """Look up every token again, because an account, a grant or a token has changed or may have."""
        self._changes += 1
        self._tokens.clear()

    async def close(self) -> None:
        """Record the last uses of tokens."""
        await self.uses.close()

    async def prove_password(self, user: str, password: str, address: str | None) -> Account | None:
        """Do the same as `prove`, but accept no tokens. Concurrent requests with equal credentials are one attempt."""

        async def attempt() -> Account | None:
            return await self._check(user, password, await self._guesses.judge(user, address))

        return await self._flights.join((user, password, address or ""), attempt)

    async def _name(self, credentials: Credentials, address: str | None) -> Account | None:
        user, password = credentials
        if user == TOKEN_USER:
            return await self._authenticate_token(password, address)

        async def attempt() -> Account | None:
            return await self._check(user, password, await self._guesses.judge_reader(address))

        return await self._flights.join((user, password, address or "", "reader"), attempt)

    async def _check(self, user: str, password: str, attempt: Attempt) -> Account | None:
        """Compare the password. Takes the same time if the account does not exist, or cannot exist."""
        # No account's name contains a NUL, and PostgreSQL does not accept one.
        account = None if "\0" in user else await select_account(self._pool, user)
        stored = account.password_hash if account else None
        key = hmac.digest(self._secret, f"{user}\0{password}".encode(errors="surrogatepass"), "sha256").hex()
        if stored is not None and self._proven.get(key) == stored:
            return account
        async with self._counting:
            # Of many concurrent attempts most are refused, before Koschey writes anything for them.
            self._checks.require_room(attempt.rank)
            turn = await self._guesses.count(attempt)
        check = PasswordCheck(password, stored, turn.rank, turn.delay)
        try:
            is_right = await self._checks.run(check)
        except BaseException:
            if not check.began:
                self._run_in_background(self._guesses.undo(attempt))
            raise
        if not is_right or stored is None:
            return None
        self._proven.put(key, stored)
        await self._guesses.succeed(attempt)
        return account

    async def _authenticate_token(self, text: str, address: str | None) -> Account | None:
        account = await authenticate_token(self._pool, text)
        if account is not None and account.token is not None:
            self.uses.note(account.token.id, address)
        return account

    def _cached(self, credentials: Credentials, address: str | None) -> Login | None:
        login = self._tokens.get(_digest(credentials[1])) if credentials[0] == TOKEN_USER else None
        if login is not None and login.token is not None:
            self.uses.note(login.token, address)
        return login

    def _login(self, credentials: Credentials, account: Account | None, changes: int) -> Login | None:
        """Return the login of an account. It is cached if nothing has changed since the caller read `changes`."""
        if account is None:
            return None
        login = Login(account.name, account.token.id if account.token else None, account)
        if account.token is not None and changes == self._changes:
            self._tokens.put(_digest(credentials[1]), login)
        return login

    def _run_in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work that outlives its request. If it fails, the count expires by itself."""

        async def try_to() -> None:
            try:
                await work
            except LOST as error:
                log.warning("an unchecked login attempt stays counted", error=repr(error))

        task = asyncio.create_task(try_to())
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)


def _digest(token: str) -> str:
    """Return the cache key of a token, so that the token is not kept in memory for longer than its request."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
