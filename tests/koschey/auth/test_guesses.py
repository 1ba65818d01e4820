"""Limits on guesses: what they refuse, whom they never lock out, and what checking a password may cost."""

import asyncio
import threading
import time
from collections.abc import Sequence
from datetime import timedelta

import pytest
from argon2 import PasswordHasher

from koschey.accounts import Account
from koschey.auth import guesses, passwords
from koschey.auth.addresses import counted_address
from koschey.auth.guesses import ACCOUNT, ADDRESS, CODE, LONGEST, PAIR, TOKEN, CheckTurn, Guesses, Rank
from koschey.auth.identity import TOKEN_USER
from koschey.auth.logins import Logins
from koschey.auth.passwords import AT_ONCE, WAITING, PasswordCheck, PasswordChecks
from koschey.auth.tokens import digest_secret, new_token, parse_token
from koschey.db.accounts import insert_token, upsert_account
from koschey.db.login_traces import select_traces
from koschey.db.pool import Pool, open_pool
from koschey.errors import Busy, TooManyGuesses
from tests.support.postgres import set_clock
from tests.support.rows import NOON
from tests.support.waiting import eventually

HERE, THERE = "192.0.2.1", "198.51.100.7"
RIGHT = ("ada", "open sesame")


class Hasher:
    """Counts what is hashed, and hashes only while it may."""

    def __init__(self) -> None:
        self._cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        self.hashed: list[str] = []
        self.at_once = self.most_at_once = 0
        self.open = threading.Event()
        self.open.set()
        self.gate: threading.Semaphore | None = None
        """Lets one hash at a time come to its end, where there is one."""

    def hash(self, password: str) -> str:
        return self._cheap.hash(password)

    def verify(self, stored: str, password: str) -> bool:
        self.hashed.append(password)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        assert self.gate.acquire(timeout=30) if self.gate else self.open.wait(30)
        self.at_once -= 1
        return self._cheap.verify(stored, password)


@pytest.fixture(autouse=True)
def hasher(monkeypatch: pytest.MonkeyPatch) -> Hasher:
    """In place of the real one."""
    found = Hasher()
    monkeypatch.setattr(passwords, "HASHER", found)
    monkeypatch.setattr(passwords, "NOBODY", found.hash("no account has this password"))
    return found


@pytest.fixture
async def ada(pool: Pool, hasher: Hasher) -> str:
    """An account with a password and a token; the clock stands still. Returns the token."""
    async with pool.acquire() as connection:
        account = await upsert_account(connection, "ada", hasher.hash(RIGHT[1]))
        token = new_token()
        parts = parse_token(token)
        assert parts
        await insert_token(connection, parts.id, account, digest_secret(parts.secret), "a test")
    await set_clock(pool, NOON)
    return token


async def guess(logins: Logins, address: str, number: int, *, user: str = "ada") -> list[Account | None]:
    """Send wrong passwords one after the other."""
    return [await logins.prove((user, f"guess {n}"), address) for n in range(number)]


async def refused(logins: Logins, credentials: tuple[str, str], address: str) -> int:
    """Send credentials that are refused unchecked; returns after how many seconds to come back."""
    with pytest.raises(TooManyGuesses) as caught:
        await logins.prove(credentials, address)
    return caught.value.retry_after


# What refuses


async def test_ten_failures_of_an_address_refuse_before_any_hashing(pool: Pool, ada: str, hasher: Hasher) -> None:
    """The eleventh attempt from an address is refused unhashed, for every account and in every process."""
    one, other = Logins(pool), Logins(pool)
    assert await guess(one, HERE, 5) == await guess(other, HERE, 5, user="nobody") == [None] * 5
    hasher.hashed.clear()
    for logins in (one, other, Logins(pool)):
        assert await refused(logins, RIGHT, HERE) == ADDRESS.forgiven_in
        assert await refused(logins, ("eve", "x"), HERE) == ADDRESS.forgiven_in
    assert hasher.hashed == []
    assert await one.prove(RIGHT, THERE) is not None


async def test_time_forgives_an_address_sooner_than_what_it_did_to_one_account(pool: Pool, ada: str) -> None:
    """After half a minute an address may try another account, and only after five minutes the same one again."""
    logins = Logins(pool)
    await guess(logins, HERE, 10)
    await set_clock(pool, NOON + timedelta(seconds=31))
    assert await logins.prove(("eve", "x"), HERE) is None
    await set_clock(pool, NOON + timedelta(seconds=90))
    assert await refused(logins, RIGHT, HERE) == PAIR.forgiven_in - 90
    await set_clock(pool, NOON + timedelta(seconds=301))
    assert await logins.prove(RIGHT, HERE) is not None


async def test_refused_attempts_do_not_count(pool: Pool, ada: str) -> None:
    """Whoever knocks all the while is let in at the moment at which everybody else would be."""
    logins = Logins(pool)
    await guess(logins, HERE, 10)
    for _ in range(50):
        await refused(logins, RIGHT, HERE)
    await set_clock(pool, NOON + timedelta(seconds=301))
    assert await logins.prove(RIGHT, HERE) is not None


async def test_many_at_once_do_not_slip_through(pool: Pool, ada: str, hasher: Hasher) -> None:
    """Of fifty guesses from one address that come to two processes together at most ten are hashed."""
    both = Logins(pool), Logins(pool)
    work = [both[n % 2].prove(("ada", f"guess {n}"), HERE) for n in range(50)]
    answers = await asyncio.gather(*work, return_exceptions=True)
    assert len(hasher.hashed) <= 10
    assert sum(isinstance(answer, TooManyGuesses) for answer in answers) >= 40
    assert ADDRESS.most - 1 <= await _counted(pool, ADDRESS, HERE) <= ADDRESS.most


async def _counted(pool: Pool, limit: guesses.Limit, subject: str) -> float:
    found = await select_traces(pool, [limit.trace(subject)])
    return round(found.get(limit.kind, 0) / limit.forgiven_in, 3)


async def test_a_right_password_counts_nothing_and_forgives_the_pair(pool: Pool, ada: str) -> None:
    """Nine mistakes, then the right password: nine more mistakes are allowed. The address itself is not forgiven."""
    logins = Logins(pool)
    await guess(logins, HERE, 9)
    assert await logins.prove(RIGHT, HERE) is not None
    assert await _counted(pool, ADDRESS, HERE) == 9
    await set_clock(pool, NOON + timedelta(seconds=271))
    assert await guess(logins, HERE, 9) == [None] * 9


async def test_equal_attempts_at_once_are_one(pool: Pool, ada: str, hasher: Hasher) -> None:
    """A client that opens fifty connections with one password has tried one password."""
    logins = Logins(pool)
    hasher.open.clear()
    wrong = [asyncio.create_task(logins.prove(("ada", "old password"), HERE)) for _ in range(50)]
    right = [asyncio.create_task(logins.prove(RIGHT, THERE)) for _ in range(50)]
    await eventually(lambda: len(hasher.hashed) == 2)
    hasher.open.set()
    assert await asyncio.gather(*wrong) == [None] * 50
    assert {account.name for account in await asyncio.gather(*right) if account} == {"ada"}
    assert sorted(hasher.hashed) == ["old password", "open sesame"]
    assert await _counted(pool, ADDRESS, HERE) == 1


# The owner


async def test_an_account_is_slowed_and_never_locked(
    pool: Pool, ada: str, hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After many failures from everywhere the owner gets in from an address of his own, a moment later."""
    monkeypatch.setattr(guesses, "SLOW", {rank: 0.01 * (rank + 1) for rank in Rank})
    logins = Logins(pool)
    for n in range(ACCOUNT.most):
        assert await logins.prove(("ada", "x"), f"203.0.113.{n}") is None
    assert await turn_of(pool, "ada", THERE) == CheckTurn(Rank.CLEAN_ADDRESS, 0.03)
    assert await turn_of(pool, "ada", "203.0.113.0") == CheckTurn(Rank.FAILING, 0.04)
    assert await turn_of(pool, "bob", THERE) == CheckTurn(Rank.CLEAN, 0)
    assert await logins.prove(RIGHT, THERE) is not None
    # From there he is known now, and waits for nobody.
    assert await turn_of(pool, "ada", THERE) == CheckTurn(Rank.KNOWN, 0.01)


async def turn_of(pool: Pool, account: str, address: str) -> CheckTurn:
    """The turn of an attempt that is not made."""
    limits = Guesses(pool)
    attempt = await limits.judge(account, address)
    turn = await limits.count(attempt)
    await limits.undo(attempt)
    return turn


async def test_guesses_do_not_lengthen_the_slowness_for_long(pool: Pool, ada: str) -> None:
    """However many guess, an account is slow for an hour at most after the last of them."""
    limits = Guesses(pool)
    for n in range(300):
        await limits.count(await limits.judge("ada", f"203.0.{n // 200}.{n % 200}"))
    assert await pool.fetchval("SELECT max(until) FROM login_trace") == NOON + LONGEST
    await set_clock(pool, NOON + LONGEST)
    assert await turn_of(pool, "ada", THERE) == CheckTurn(Rank.CLEAN, 0)


async def test_the_owner_is_checked_next_during_a_flood(pool: Pool, ada: str, hasher: Hasher) -> None:
    """While 300 guesses at his password come from three addresses, their first ones alone come before him."""
    logins = Logins(pool)
    hasher.open.clear()
    flood = [asyncio.create_task(logins.prove(("ada", f"guess {n}"), f"203.0.113.{n % 3}")) for n in range(300)]
    await eventually(lambda: hasher.hashed)
    await eventually(lambda: sum(task.done() for task in flood) >= 300 - 3 * ADDRESS.most)
    assert len(hasher.hashed) <= AT_ONCE
    owner = asyncio.create_task(logins.prove(RIGHT, THERE))
    await eventually(lambda: RIGHT[1] in hasher.hashed + [check.password for check in logins._checks._waiting])
    hasher.open.set()
    account = await asyncio.wait_for(owner, 30)
    assert account is not None
    assert hasher.hashed.index(RIGHT[1]) <= AT_ONCE + 3
    answers = await asyncio.gather(*flood, return_exceptions=True)
    assert all(answer is None or isinstance(answer, TooManyGuesses | Busy) for answer in answers)
    assert hasher.most_at_once <= AT_ONCE


async def test_a_known_address_goes_before_a_crowd(pool: Pool, ada: str, hasher: Hasher) -> None:
    """Where 300 addresses guess once each, the owner is the next one from where he has logged in before."""
    assert await Logins(pool).prove(RIGHT, THERE) is not None
    logins = Logins(pool)
    hasher.hashed.clear()
    hasher.open.clear()
    flood = [asyncio.create_task(logins.prove(("ada", f"guess {n}"), f"10.0.{n // 200}.{n % 200}")) for n in range(300)]
    await eventually(lambda: sum(task.done() for task in flood) >= 300 - WAITING - AT_ONCE)
    owner = asyncio.create_task(logins.prove(RIGHT, THERE))
    await eventually(lambda: any(check.password == RIGHT[1] for check in logins._checks._waiting))
    hasher.open.set()
    assert await asyncio.wait_for(owner, 30) is not None
    assert hasher.hashed.index(RIGHT[1]) <= AT_ONCE + 1  # two places may become free together
    await asyncio.gather(*flood, return_exceptions=True)
    assert len(hasher.hashed) <= AT_ONCE + WAITING + 1


# The queue


def checks(number: int, rank: Rank) -> list[PasswordCheck]:
    """Wrong passwords."""
    return [PasswordCheck(f"{rank.name} {n}", None, rank) for n in range(number)]


async def start(queue: PasswordChecks, wanted: Sequence[PasswordCheck]) -> list[asyncio.Task[bool]]:
    """Have them queue in this order."""
    tasks = []
    for check in wanted:
        tasks.append(asyncio.create_task(queue.run(check)))
        await asyncio.sleep(0)
    return tasks


async def test_two_at_once_and_twenty_wait(hasher: Hasher) -> None:
    """Who comes when the queue is full is told at once, without a hash."""
    queue = PasswordChecks()
    hasher.open.clear()
    tasks = await start(queue, checks(AT_ONCE + WAITING + 5, Rank.CLEAN))
    await eventually(lambda: sum(task.done() for task in tasks) == 5 and len(hasher.hashed) == AT_ONCE)
    assert all(isinstance(task.exception(), Busy) for task in tasks[-5:])
    hasher.open.set()
    assert await asyncio.gather(*tasks[:-5]) == [False] * (AT_ONCE + WAITING)
    assert (hasher.most_at_once, len(hasher.hashed)) == (AT_ONCE, AT_ONCE + WAITING)


async def test_one_place_is_kept_from_those_that_fail(hasher: Hasher) -> None:
    """Failing addresses have one place, whatever is free; a full queue of them makes room for everybody else."""
    queue = PasswordChecks()
    gate = hasher.gate = threading.Semaphore(0)
    failing = await start(queue, checks(1 + WAITING, Rank.FAILING))
    await eventually(lambda: len(hasher.hashed) == 1)
    await asyncio.sleep(0.05)
    assert len(hasher.hashed) == 1
    better = await start(queue, [*checks(2, Rank.CLEAN), *checks(1, Rank.KNOWN)])
    await eventually(lambda: len(hasher.hashed) == 2)
    await eventually(lambda: sum(task.done() for task in failing) == 2)
    assert [task for task in failing if task.done()] == failing[-2:]
    assert hasher.hashed == ["FAILING 0", "CLEAN 0"]
    # Whichever of two ends, the best that waits is next.
    for number in (3, 4):
        gate.release()
        await eventually(lambda: len(hasher.hashed) == number)  # noqa: B023 - awaited at once
    assert hasher.hashed[2:] == ["KNOWN 0", "CLEAN 1"]
    gate.release(100)
    await asyncio.gather(*failing, *better, return_exceptions=True)


async def test_who_has_gone_is_not_checked_and_not_counted(pool: Pool, ada: str, hasher: Hasher) -> None:
    """Attempts that were given up while they waited are never hashed, and are no failures."""
    logins = Logins(pool)
    hasher.open.clear()
    blocking = [asyncio.create_task(logins.prove(("eve", f"{n}"), f"203.0.113.{n}")) for n in range(AT_ONCE)]
    await eventually(lambda: len(hasher.hashed) == AT_ONCE)
    gone = [asyncio.create_task(logins.prove(("ada", f"gone {n}"), HERE)) for n in range(5)]
    await eventually(lambda: len(logins._checks._waiting) == 5)
    assert await _counted(pool, ADDRESS, HERE) == 5
    for task in gone:
        task.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    hasher.open.set()
    await asyncio.gather(*blocking)

    async def is_forgiven() -> bool:
        return await _counted(pool, ADDRESS, HERE) == 0

    await eventually(is_forgiven)
    assert not [password for password in hasher.hashed if password.startswith("gone")]
    assert await logins.prove(RIGHT, HERE) is not None


async def test_a_check_that_waits_too_long_is_given_up(hasher: Hasher, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that cannot be seen to have gone holds its place in the queue for a bounded time."""
    monkeypatch.setattr(passwords, "PATIENCE", 0.05)
    queue = PasswordChecks()
    hasher.open.clear()
    running = await start(queue, checks(AT_ONCE, Rank.CLEAN))
    await eventually(lambda: len(hasher.hashed) == AT_ONCE)
    [waiting] = await start(queue, checks(1, Rank.KNOWN))
    with pytest.raises(Busy):
        await waiting
    hasher.open.set()
    assert await asyncio.gather(*running) == [False] * AT_ONCE
    assert len(hasher.hashed) == AT_ONCE


async def test_a_place_is_free_again_only_when_its_hash_has_ended(hasher: Hasher) -> None:
    """Clients that go away while they are checked do not make more checks run at once."""
    queue = PasswordChecks()
    hasher.open.clear()
    for _ in range(3):
        tasks = await start(queue, checks(AT_ONCE, Rank.CLEAN))
        await eventually(lambda: len(hasher.hashed) >= AT_ONCE)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert len(hasher.hashed) == AT_ONCE
    hasher.open.set()
    assert await queue.run(PasswordCheck("x", None, Rank.FAILING)) is False
    assert hasher.most_at_once == AT_ONCE


# What is remembered


async def test_a_proven_password_is_not_hashed_again(pool: Pool, ada: str, hasher: Hasher) -> None:
    """Until it is changed, or the account is disabled: both count at once."""
    logins = Logins(pool)
    for _ in range(3):
        assert await logins.prove(RIGHT, HERE) is not None
    assert hasher.hashed == [RIGHT[1]]
    await pool.execute("UPDATE account SET password_hash = $1", hasher.hash("another"))
    assert await logins.prove(RIGHT, HERE) is None
    assert await logins.prove(("ada", "another"), HERE) is not None
    await pool.execute("UPDATE account SET disabled_at = now()")
    assert await logins.prove(("ada", "another"), HERE) is None


async def test_memory_is_no_way_around_the_limit(pool: Pool, ada: str) -> None:
    """A password that was just proved from elsewhere is refused unchecked from an address that has failed too often."""
    logins = Logins(pool)
    assert await logins.prove(RIGHT, THERE) is not None
    await guess(logins, HERE, 10)
    await refused(logins, RIGHT, HERE)


async def test_a_revoked_token_reads_for_a_second_at_most(
    pool: Pool, ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading remembers a token for less than a second, or until a change; other doors look it up each time."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    logins = Logins(pool)
    header = f"Bearer {ada}"
    found = await logins.find(header, HERE)
    assert found is not None
    assert found.account == "ada"
    await pool.execute("UPDATE token SET revoked_at = now()")
    assert await logins.prove((TOKEN_USER, ada), HERE) is None
    now += 0.89
    assert await logins.find(header, HERE) == found
    now += 0.01
    assert await logins.find(header, HERE) is None
    await pool.execute("UPDATE token SET revoked_at = NULL")
    assert await logins.find(header, HERE) == found
    await pool.execute("UPDATE token SET revoked_at = now()")
    logins.forget_tokens()
    assert await logins.find(header, HERE) is None


async def test_what_was_looked_up_before_a_change_is_not_kept(pool: Pool, ada: str) -> None:
    """A token that is looked up while it is revoked is not remembered, because the rows were read before."""
    logins = Logins(pool)
    header = f"Bearer {ada}"
    looking = asyncio.create_task(logins.find(header, HERE))
    await asyncio.sleep(0)
    await pool.execute("UPDATE token SET revoked_at = now()")
    logins.forget_tokens()
    await looking
    assert await logins.find(header, HERE) is None


# Tokens, addresses, the table


async def test_wrong_tokens_count_by_address(pool: Pool, ada: str) -> None:
    """After a hundred wrong tokens an address is told to wait; its right ones and its passwords still work."""
    logins = Logins(pool)
    for _ in range(TOKEN.most):
        assert await logins.prove((TOKEN_USER, new_token()), HERE) is None
    assert await refused(logins, (TOKEN_USER, "no token at all"), HERE) > 0
    assert await logins.prove((TOKEN_USER, ada), HERE) is not None
    assert await logins.prove(RIGHT, HERE) is not None
    assert await logins.prove((TOKEN_USER, "no token at all"), THERE) is None


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        *((nothing, "") for nothing in (None, "", "<local>", "unix:", "1.2.3")),
    ],
)
def test_whom_an_address_stands_for(address: str | None, counted: str) -> None:
    """IPv4 counts by host, IPv6 by the network that one customer has."""
    assert counted_address(address) == counted


async def test_addresses_of_one_network_count_together(pool: Pool, ada: str) -> None:
    """Whoever has a /64 cannot take a fresh address for each guess."""
    logins = Logins(pool)
    for n in range(10):
        assert await logins.prove(("ada", "x"), f"2001:db8::{n:x}") is None
    await refused(logins, RIGHT, "2001:db8::ffff")
    assert await logins.prove(RIGHT, "2001:db8:0:1::1") is not None


async def test_wrong_codes_of_signals_count_by_release(pool: Pool, ada: str, database: str) -> None:
    """All workers count together, single codes and thousands at once; another release is not slowed by them."""
    other_pool = await open_pool(database, size=1)
    here, there = Guesses(pool), Guesses(other_pool)
    try:
        for worker in (here, there) * (CODE.most // 2):
            assert not await worker.count_codes("six==1.0", 1)
        assert await here.count_codes("six==1.0", 1)
        assert await there.count_codes("six==1.0", 1)
        assert not await there.count_codes("six==2.0", CODE.most)
        assert await there.count_codes("six==3.0", 2_000)
        await set_clock(pool, NOON + LONGEST)
        assert not await here.count_codes("six==3.0", 1)
    finally:
        await other_pool.close()


async def test_what_is_forgotten_is_swept(pool: Pool, ada: str) -> None:
    """Rows go when their time is over, and none holds the name of an account."""
    await guess(Logins(pool), HERE, 3)
    rows = [row["row"] for row in await pool.fetch("SELECT login_trace::text AS row FROM login_trace")]
    assert len(rows) == 3
    assert not [row for row in rows if "ada" in row]
    await set_clock(pool, NOON + 2 * LONGEST)
    await guess(Logins(pool), THERE, 1, user="eve")
    assert {row["subject"] for row in await pool.fetch("SELECT subject FROM login_trace WHERE kind = 'address'")} == {
        THERE
    }
    assert await pool.fetchval("SELECT count(*) FROM login_trace") == 3


async def test_without_the_store_nobody_gets_in(pool: Pool, ada: str) -> None:
    """While failures cannot be counted a password is not checked, not even the right one."""
    logins = Logins(pool)
    await pool.execute("ALTER TABLE login_trace RENAME TO login_trace_gone")
    try:
        with pytest.raises(Exception, match="login_trace"):
            await logins.prove(RIGHT, HERE)
    finally:
        await pool.execute("ALTER TABLE login_trace_gone RENAME TO login_trace")


@pytest.mark.parametrize("user", ["ada\0", "\0", "ada\ud800", "x" * 100_000, ""])
async def test_any_name_is_just_wrong(pool: Pool, ada: str, hasher: Hasher, user: str) -> None:
    """A name that no account can have is hashed and counted like every other."""
    assert await Logins(pool).prove_password(user.replace("\ud800", "?"), "x", HERE) is None
    assert hasher.hashed == ["x"]
    assert await _counted(pool, ADDRESS, HERE) == 1
