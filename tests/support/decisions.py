"""Decisions on a real database: what is decided about, how, and all the rows that a decision leaves."""

from datetime import timedelta
from typing import Any, NamedTuple

from packaging.utils import NormalizedName

from koschey.db.journal import select_serial
from koschey.db.pool import Connection
from koschey.db.rules import select_rules
from koschey.model import Actor, State
from koschey.policy.rules import Rule
from koschey.quarantine.decide import Choice, Decision, DecisionOutcome, decide
from tests.support.postgres import set_clock
from tests.support.rows import NOON, add_project, new_file, select_states

SPAM = NormalizedName("spam")
CLI = Actor("ada", "cli")
WHEEL, SDIST, LATER = "spam-1.0-py3-none-any.whl", "spam-1.0.tar.gz", "spam-2.0.tar.gz"
HELD, RELEASED, BLOCKED = State.HELD, State.RELEASED, State.BLOCKED
DAY = timedelta(days=1)
GIVEN: dict[Choice, dict[str, Any]] = {Choice.EXTEND: {"days": 3}, Choice.EXCEPT: {"days": 3, "ticket": "SEC-1"}}


async def release(connection: Connection, state: State = HELD, **changes: Any) -> None:
    """Two files of one release and one of a later release, all in one state."""
    await add_project(connection, "spam", [new_file(name, state, **changes) for name in (WHEEL, SDIST, LATER)])


async def waiting(connection: Connection, *, release_at: Any = NOON, looked_at: Any = NOON, **changes: Any) -> None:
    """A held release whose window ends at noon, at a moment after that."""
    await set_clock(connection, NOON + DAY)
    files = [new_file(name, release_at=release_at, **changes) for name in (WHEEL, SDIST)]
    await add_project(connection, "spam", files, looked_at=looked_at)


async def choose(
    connection: Connection, choice: Choice, version: str | None = "1.0", *, actor: Actor = CLI, reason: str = "why"
) -> DecisionOutcome:
    """Decide in the operator's name about version 1.0 of the one project, unless told otherwise."""
    return await decide(connection, actor, Decision(choice, SPAM, version, reason))


class Written(NamedTuple):
    """Everything that a decision could leave behind."""

    serial: int
    states: dict[str, State]
    decisions: int
    rules: tuple[Rule, ...]
    messages: int


async def written(connection: Connection) -> Written:
    """All that decisions have left behind."""
    return Written(
        await select_serial(connection),
        await select_states(connection, SPAM),
        await connection.fetchval("SELECT count(*) FROM decision"),
        (await select_rules(connection, SPAM)).rules,
        await connection.fetchval("SELECT count(*) FROM outbox"),
    )


async def journal(connection: Connection) -> list[tuple[str, str, str, str | None, str | None]]:
    """Who did what, in order."""
    rows = await connection.fetch("SELECT actor, door, action, version, filename FROM journal ORDER BY serial")
    return [tuple(row) for row in rows]


async def decisions(connection: Connection) -> list[tuple[str, str | None, str | None, str | None]]:
    """What the rows of decisions are about, in order."""
    rows = await connection.fetch("SELECT action, version, filename, sha256 FROM decision ORDER BY id")
    return [tuple(row) for row in rows]


async def messages(connection: Connection) -> list[str]:
    """The keys of the messages for Temporal."""
    return [row["key"] for row in await connection.fetch("SELECT key FROM outbox ORDER BY key")]
