"""What people decide and what time settles, on a real database."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from packaging.utils import NormalizedName

from koschey.causes import BY_TIME
from koschey.db.accounts import insert_grant, upsert_account
from koschey.db.files import lock_release_files
from koschey.db.journal import select_serial
from koschey.db.pool import Connection, Pool
from koschey.db.projects import lock_project, select_project
from koschey.db.rules import select_rules, upsert_rule
from koschey.errors import KoscheyError, NotAllowed, NotKnown, UsageError
from koschey.model import Actor, ProjectStatus, Standing, State
from koschey.policy.rules import Rule, RuleKind
from koschey.quarantine.decide import Choice, Decision, DecisionOutcome, decide
from koschey.quarantine.decision import LONGEST
from koschey.quarantine.settle import SOONEST, note_failure, settle
from tests.support.postgres import set_clock
from tests.support.rows import NOON, WEEK, add_project, digest_of, new_file, select_files, select_states

SPAM = NormalizedName("spam")
CLI = Actor("ada", "cli")
WHEEL, SDIST, LATER = "spam-1.0-py3-none-any.whl", "spam-1.0.tar.gz", "spam-2.0.tar.gz"
HELD, RELEASED, BLOCKED = State.HELD, State.RELEASED, State.BLOCKED
DAY = timedelta(days=1)


async def choose(
    connection: Connection, choice: Choice, version: str | None = "1.0", *, actor: Actor = CLI, reason: str = "why"
) -> DecisionOutcome:
    return await decide(connection, actor, Decision(choice, SPAM, version, reason))


class Written(NamedTuple):
    """Everything that a decision could leave behind."""

    serial: int
    states: dict[str, State]
    decisions: int
    rules: tuple[Rule, ...]
    messages: int


async def written(connection: Connection) -> Written:
    return Written(
        await select_serial(connection),
        await select_states(connection, SPAM),
        await connection.fetchval("SELECT count(*) FROM decision"),
        (await select_rules(connection, SPAM)).rules,
        await connection.fetchval("SELECT count(*) FROM outbox"),
    )


async def journal(connection: Connection) -> list[tuple[str, str, str, str | None, str | None]]:
    rows = await connection.fetch("SELECT actor, door, action, version, filename FROM journal ORDER BY serial")
    return [tuple(row) for row in rows]


async def decisions(connection: Connection) -> list[tuple[str, str | None, str | None, str | None]]:
    rows = await connection.fetch("SELECT action, version, filename, sha256 FROM decision ORDER BY id")
    return [tuple(row) for row in rows]


async def messages(connection: Connection) -> list[str]:
    return [row["key"] for row in await connection.fetch("SELECT key FROM outbox ORDER BY key")]


async def release(connection: Connection, state: State = HELD, **changes: Any) -> None:
    """Two files of one release and one of a later release, all in one state."""
    await add_project(connection, "spam", [new_file(name, state, **changes) for name in (WHEEL, SDIST, LATER)])


# What each decision does


async def test_approve(connection: Connection) -> None:
    """An approval releases the files of one release, each bound by its sha256, and says all that was done."""
    await release(connection)
    outcome = await choose(connection, Choice.APPROVE, reason="read it")
    assert outcome == DecisionOutcome(await select_serial(connection), (WHEEL, SDIST))
    files = await select_files(connection, SPAM)
    assert {name: file.standing.state for name, file in files.items()} == {
        WHEEL: RELEASED,
        SDIST: RELEASED,
        LATER: HELD,
    }
    assert files[WHEEL].standing.reason == "approve by ada: read it"
    assert files[WHEEL].standing.available_at is not None
    assert files[LATER].standing.available_at is None
    assert await journal(connection) == [
        ("ada", "cli", "approve", "1.0", WHEEL),
        ("ada", "cli", "approve", "1.0", SDIST),
    ]
    assert await decisions(connection) == [
        ("approve", "1.0", WHEEL, digest_of(WHEEL)),
        ("approve", "1.0", SDIST, digest_of(SDIST)),
    ]
    assert await messages(connection) == ["release_held/spam/1.0"]
    row = await connection.fetchrow("SELECT * FROM decision ORDER BY id LIMIT 1")
    assert (row["actor"], row["door"], row["reason"], row["serial"]) == ("ada", "cli", "read it", 2)
    project = await select_project(connection, SPAM)
    assert project is not None
    assert project.serial == 2


@pytest.mark.parametrize("state", [HELD, RELEASED, State.MALFORMED, State.CONFLICT])
async def test_block(connection: Connection, state: State) -> None:
    """A block takes every file of the release, whatever it was, and stays in force for files to come."""
    await release(connection, state)
    outcome = await choose(connection, Choice.BLOCK, reason="malware")
    assert outcome.filenames == (WHEEL, SDIST)
    assert await select_states(connection, SPAM) == {WHEEL: BLOCKED, SDIST: BLOCKED, LATER: state}
    assert await decisions(connection) == [
        ("block", "1.0", WHEEL, digest_of(WHEEL)),
        ("block", "1.0", SDIST, digest_of(SDIST)),
    ]
    assert (await select_rules(connection, SPAM)).rules == (Rule(RuleKind.BLOCKED, "1.0", "malware", "ada", "spam"),)


async def test_block_of_a_project(connection: Connection) -> None:
    """A block of a project takes all its files, and all to come."""
    await release(connection, RELEASED)
    assert (await choose(connection, Choice.BLOCK, None)).filenames == (WHEEL, SDIST, LATER)
    assert set((await select_states(connection, SPAM)).values()) == {BLOCKED}
    assert (await select_rules(connection, SPAM)).rules == (Rule(RuleKind.BLOCKED, None, "why", "ada", "spam"),)
    assert await messages(connection) == ["release_held/spam/1.0", "release_held/spam/2.0"]


@pytest.mark.parametrize("version", [None, "1.0"])
@pytest.mark.parametrize("choice", [Choice.BLOCK, Choice.TRUST])
async def test_rules_for_what_is_to_come(connection: Connection, choice: Choice, version: str | None) -> None:
    """What nobody has seen yet can be blocked or trusted; the journal and the decision name the scope."""
    outcome = await choose(connection, choice, version)
    assert outcome == DecisionOutcome(await select_serial(connection), ())
    assert await journal(connection) == [("ada", "cli", choice, version, None)]
    assert await decisions(connection) == [(choice, version, None, None)]
    assert len((await select_rules(connection, SPAM)).rules) == 1
    assert await messages(connection) == []


async def test_unblock(connection: Connection) -> None:
    """What is unblocked is held, until a person approves it; time does not release it."""
    await release(connection, HELD, release_at=NOON)
    await choose(connection, Choice.BLOCK)
    outcome = await choose(connection, Choice.UNBLOCK, reason="false alarm")
    assert outcome.filenames == (WHEEL, SDIST)
    files = await select_files(connection, SPAM)
    for name in (WHEEL, SDIST):
        assert (files[name].standing.state, files[name].standing.release_at) == (HELD, None)
    assert files[LATER].standing.release_at == NOON
    assert (await select_rules(connection, SPAM)).rules == ()
    assert (await settle(connection, SPAM, "1.0", WEEK)).recheck_in is None
    assert (await choose(connection, Choice.APPROVE)).filenames == (WHEEL, SDIST)


async def test_unblock_of_a_rule_alone(connection: Connection) -> None:
    """A block of what has not come yet can be lifted too."""
    await choose(connection, Choice.BLOCK)
    assert (await choose(connection, Choice.UNBLOCK)).serial == 2
    assert (await select_rules(connection, SPAM)).rules == ()


async def test_a_release_stays_blocked_with_its_project(connection: Connection) -> None:
    """Out of a blocked project no single release is unblocked, and unblocking a project keeps a release's own block."""
    await release(connection)
    await choose(connection, Choice.BLOCK, "1.0", reason="this one")
    await choose(connection, Choice.BLOCK, None, reason="all of it")
    before = await written(connection)
    with pytest.raises(UsageError, match="whole project is blocked by ada"):
        await choose(connection, Choice.UNBLOCK, "1.0")
    assert await written(connection) == before
    assert (await choose(connection, Choice.UNBLOCK, None)).filenames == (LATER,)
    assert await select_states(connection, SPAM) == {WHEEL: BLOCKED, SDIST: BLOCKED, LATER: HELD}
    assert (await choose(connection, Choice.UNBLOCK, "1.0")).filenames == (WHEEL, SDIST)


async def test_trust(connection: Connection) -> None:
    """Trust releases what is held, as far as it is known which bytes that is, and what is to come."""
    await add_project(
        connection,
        "spam",
        [
            new_file(WHEEL),
            new_file(SDIST, sha256=None),
            new_file(LATER, BLOCKED),
            new_file("spam-3.0.zip", State.CONFLICT),
        ],
    )
    assert (await choose(connection, Choice.TRUST, None)).filenames == (WHEEL,)
    assert await select_states(connection, SPAM) == {
        WHEEL: RELEASED,
        SDIST: HELD,
        LATER: BLOCKED,
        "spam-3.0.zip": State.CONFLICT,
    }
    assert await decisions(connection) == [("trust", "1.0", WHEEL, digest_of(WHEEL))]
    assert (await select_rules(connection, SPAM)).rules == (Rule(RuleKind.TRUSTED, None, "why", "ada", "spam"),)
    # The file without a digest stays held also when the release is settled.
    assert [file.filename for file in (await settle(connection, SPAM, "1.0", WEEK)).held] == [SDIST]


async def test_untrust(connection: Connection) -> None:
    """What trust has let out stays out; only files to come are held again."""
    await release(connection)
    await choose(connection, Choice.TRUST, None)
    outcome = await choose(connection, Choice.UNTRUST, None, reason="sold")
    assert outcome.filenames == ()
    assert set((await select_states(connection, SPAM)).values()) == {RELEASED}
    assert (await select_rules(connection, SPAM)).rules == ()
    assert (await decisions(connection))[-1] == ("untrust", None, None, None)


async def test_a_later_rule_takes_the_place_of_the_former(connection: Connection) -> None:
    """Of one kind and scope there is one rule: the last one's reason and actor stand in it."""
    await choose(connection, Choice.TRUST, None, reason="first")
    await choose(connection, Choice.TRUST, None, reason="second", actor=Actor("bob", "cli"))
    assert (await select_rules(connection, SPAM)).rules == (Rule(RuleKind.TRUSTED, None, "second", "bob", "spam"),)


@pytest.mark.parametrize(
    ("state", "choice"),
    [
        (RELEASED, Choice.APPROVE),
        (State.REMOVED, Choice.APPROVE),
        (HELD, Choice.UNBLOCK),
        (RELEASED, Choice.UNBLOCK),
        (HELD, Choice.UNTRUST),
    ],
)
async def test_nothing_to_change(connection: Connection, state: State, choice: Choice) -> None:
    """A decision that changes nothing says so and writes nothing."""
    await release(connection, state)
    before = await written(connection)
    outcome = await choose(connection, choice)
    assert (outcome, str(outcome)) == (DecisionOutcome(None, ()), "nothing to change")
    assert await written(connection) == before


async def test_a_second_approval_changes_nothing(connection: Connection) -> None:
    """Approving again what is approved leaves one row for one move."""
    await release(connection)
    await choose(connection, Choice.APPROVE)
    before = await written(connection)
    assert (await choose(connection, Choice.APPROVE)).serial is None
    assert await written(connection) == before


# Refusals


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        (BLOCKED, UsageError, "is blocked .*unblock the release first"),
        (State.MALFORMED, UsageError, "is malformed"),
        (State.CONFLICT, UsageError, "is conflict"),
    ],
)
async def test_what_cannot_be_approved(
    connection: Connection, state: State, error: type[KoscheyError], message: str
) -> None:
    """One file of a release that may not be released is enough to refuse the whole approval."""
    await add_project(connection, "spam", [new_file(WHEEL), new_file(SDIST, state)])
    before = await written(connection)
    with pytest.raises(error, match=message):
        await choose(connection, Choice.APPROVE)
    assert await written(connection) == before
    assert before.states[WHEEL] is HELD


async def test_an_approval_needs_bytes(connection: Connection) -> None:
    """What was never hashed cannot be approved: nobody could have looked at it."""
    await add_project(connection, "spam", [new_file(WHEEL), new_file(SDIST, sha256=None)])
    before = await written(connection)
    with pytest.raises(UsageError, match="not downloaded yet"):
        await choose(connection, Choice.APPROVE)
    assert await written(connection) == before


@pytest.mark.parametrize("version", ["1.0", None])
async def test_a_block_in_force_beats_approval_and_trust(connection: Connection, version: str | None) -> None:
    """While a rule blocks a release, neither an approval nor trust releases a file of it, even one that is held."""
    await release(connection)
    await connection.execute(
        "INSERT INTO rule (index_id, kind, project, version, reason, actor) "
        "VALUES (1, 'blocked', 'spam', $1, 'x', 'bob')",
        version or "",
    )
    before = await written(connection)
    with pytest.raises(UsageError, match="a block by bob is active"):
        await choose(connection, Choice.APPROVE)
    assert await written(connection) == before
    trusted = await choose(connection, Choice.TRUST, None)
    assert trusted.filenames == ((LATER,) if version else ())


@pytest.mark.parametrize(
    ("choice", "version", "reason", "error", "message"),
    [
        (Choice.APPROVE, "9.9", "why", NotKnown, "spam==9.9 is not known here"),
        (Choice.APPROVE, None, "why", UsageError, "an approval is for one release"),
        *((choice, "1.0", reason, UsageError, "give a reason") for choice in Choice for reason in ("", " \n")),
        (Choice.BLOCK, "1.0", "x" * 2001, UsageError, "give a reason"),
    ],
)
async def test_refusals(
    connection: Connection, choice: Choice, version: str | None, reason: str, error: type[KoscheyError], message: str
) -> None:
    """A decision without a reason, or of what is not there, leaves nothing."""
    await release(connection)
    before = await written(connection)
    with pytest.raises(error, match=message):
        await choose(connection, choice, version, reason=reason)
    assert await written(connection) == before


async def test_an_unknown_project_cannot_be_approved(connection: Connection) -> None:
    """Nobody approves what no page has shown."""
    with pytest.raises(NotKnown, match=r"spam==1\.0 is not known here"):
        await choose(connection, Choice.APPROVE)
    assert await written(connection) == Written(0, {}, 0, (), 0)


# For a time


async def extend(connection: Connection, days: float | None, version: str | None = "1.0") -> DecisionOutcome:
    return await decide(connection, CLI, Decision(Choice.EXTEND, SPAM, version, "somebody reads it", days=days))


async def windows(connection: Connection) -> dict[str, tuple[object, object]]:
    found = await select_files(connection, SPAM)
    return {name: (item.standing.release_at, item.standing.held_until) for name, item in found.items()}


async def test_extend(connection: Connection) -> None:
    """What is held of the release stays held until the later of its window's end and the extension's."""
    await set_clock(connection, NOON)
    new = [new_file(WHEEL, release_at=NOON + DAY), new_file(SDIST, release_at=NOON + 30 * DAY), new_file(LATER)]
    await add_project(connection, "spam", new)
    outcome = await extend(connection, 10)
    assert (outcome.filenames, str(outcome)) == ((WHEEL, SDIST), "serial 2, 2 files held longer")
    until = NOON + 10 * DAY
    assert await windows(connection) == {
        WHEEL: (until, until),
        SDIST: (NOON + 30 * DAY, until),
        LATER: (None, None),
    }
    held = (await select_files(connection, SPAM))[WHEEL].standing
    assert held.reason == "extended by ada until 2026-12-02 12:00 UTC: somebody reads it"
    assert {entry[2] for entry in await journal(connection)} == {"extend"}
    assert [row[0] for row in await decisions(connection)] == ["extend", "extend"]
    assert await messages(connection) == ["release_held/spam/1.0"]


async def test_an_extension_holds_against_time(connection: Connection) -> None:
    """Settling under any window lets nothing out before the extension ends."""
    await set_clock(connection, NOON)
    standing = Standing(HELD, BY_TIME, "new", NOON + DAY, None, counts_from=NOON)
    await add_project(connection, "spam", [new_file(WHEEL, standing=standing)], looked_at=NOON + 90 * DAY)
    await extend(connection, 10)
    for moment in (NOON + 2 * DAY, NOON + 10 * DAY - timedelta(seconds=1)):
        await set_clock(connection, moment)
        await settle(connection, SPAM, "1.0", timedelta())
        assert (await select_states(connection, SPAM))[WHEEL] is HELD
    await set_clock(connection, NOON + 10 * DAY)
    await settle(connection, SPAM, "1.0", timedelta())
    assert (await select_states(connection, SPAM))[WHEEL] is RELEASED


async def test_an_extension_never_shortens(connection: Connection) -> None:
    """A second extension is either later, or changes nothing."""
    await set_clock(connection, NOON)
    await release(connection, release_at=NOON + DAY)
    await extend(connection, 10)
    before = await written(connection)
    for days in (10, 3, 0.5):
        assert str(await extend(connection, days)) == "nothing to change"
    assert await written(connection) == before
    assert (await extend(connection, 11)).filenames == (WHEEL, SDIST)
    assert (await windows(connection))[WHEEL] == (NOON + 11 * DAY, NOON + 11 * DAY)


async def test_what_a_person_lets_out_is_not_let_out_by_time(connection: Connection) -> None:
    """Where time releases nothing, an extension gives it no end."""
    await set_clock(connection, NOON)
    await release(connection)
    await extend(connection, 5)
    assert (await windows(connection))[WHEEL] == (None, NOON + 5 * DAY)


@pytest.mark.parametrize("days", [None, 0, -3, 3651, float("nan"), float("inf")])
async def test_extensions_that_make_no_sense(connection: Connection, days: float | None) -> None:
    """An extension is for some days, and for a release."""
    await release(connection)
    before = await written(connection)
    with pytest.raises(UsageError, match="give the number of days: more than 0"):
        await extend(connection, days)
    for version, message in ((None, "for one release"), ("9.9", "not known here")):
        with pytest.raises(UsageError, match=message):
            await extend(connection, 3, version)
    assert await written(connection) == before


async def test_trust_is_not_extended(connection: Connection) -> None:
    """Trust lets out whatever time says, so that an extension under it would be an empty promise."""
    await release(connection)
    await choose(connection, Choice.TRUST, None)
    await connection.execute("UPDATE standing SET state = 'blocked'")
    await connection.execute("UPDATE standing SET state = 'held'")
    with pytest.raises(UsageError, match="untrust the project first"):
        await extend(connection, 3)


@pytest.mark.parametrize("choice", [choice for choice in Choice if choice not in LONGEST])
async def test_what_is_for_good(connection: Connection, choice: Choice) -> None:
    """A decision that does not end takes no days, and one about a release no file."""
    await release(connection)
    for given in ({"days": 3.0}, {"filename": WHEEL, "sha256": digest_of(WHEEL)}):
        with pytest.raises(
            UsageError, match=r"is permanent; omit the number of days|only an exception applies to one file"
        ):
            await decide(connection, CLI, Decision(choice, SPAM, "1.0", "why", **given))


# What cannot be written down does not happen

SITUATIONS: dict[Choice, tuple[State, Decision | None]] = {
    Choice.APPROVE: (HELD, None),
    Choice.BLOCK: (RELEASED, None),
    Choice.UNBLOCK: (HELD, Decision(Choice.BLOCK, SPAM, "1.0", "why")),
    Choice.TRUST: (HELD, None),
    Choice.UNTRUST: (HELD, Decision(Choice.TRUST, SPAM, "1.0", "why")),
    Choice.EXTEND: (HELD, None),
    Choice.EXCEPT: (HELD, None),
    Choice.RECALL: (RELEASED, None),
}
GIVEN: dict[Choice, dict[str, Any]] = {Choice.EXTEND: {"days": 3}, Choice.EXCEPT: {"days": 3, "ticket": "SEC-1"}}
BREAK = """
    CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'the disk is full'; END $$;
    CREATE TRIGGER break_off BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION break_off();
"""
MEND = "DROP TRIGGER break_off ON {table}; DROP FUNCTION break_off;"


async def everything(connection: Connection) -> list[object]:
    """All rows that a decision could write."""
    tables = ("standing", "rule", "proposal", "decision", "journal", "alert", "outbox")
    return [[tuple(row) for row in await connection.fetch(f"SELECT * FROM {table}")] for table in tables]  # noqa: S608


@pytest.mark.parametrize("table", ["journal", "decision", "outbox"])
@pytest.mark.parametrize("choice", Choice)
async def test_without_an_audit_row_nothing_changes(connection: Connection, choice: Choice, table: str) -> None:
    """When a row of the journal or of the decisions cannot be written, everything is as before, for every choice."""
    state, before = SITUATIONS[choice]
    await release(connection, state)
    if before:
        await decide(connection, CLI, before)
    wanted = Decision(choice, SPAM, "1.0", "another reason", **GIVEN.get(choice, {}))
    kept = await everything(connection)
    await connection.execute(BREAK.format(table=table))
    try:
        if (choice, table) == (Choice.UNTRUST, "outbox"):  # it wakes nothing
            await decide(connection, CLI, wanted)
            return
        with pytest.raises(Exception, match="the disk is full"):
            await decide(connection, CLI, wanted)
        assert await everything(connection) == kept
    finally:
        await connection.execute(MEND.format(table=table))
    assert (await decide(connection, CLI, wanted)).serial is not None


@pytest.mark.parametrize(("choice", "table"), [(Choice.RECALL, "alert"), (Choice.APPROVE, "proposal")])
async def test_without_its_alert_or_proposal_nothing_changes(
    connection: Connection, choice: Choice, table: str
) -> None:
    """A recall that nobody would hear of, and a proposal that nobody could agree to, do not happen either."""
    await release(connection, SITUATIONS[choice][0])
    await upsert_rule(connection, RuleKind.SECOND_PERSON, "spam", None, "four eyes", CLI)
    kept = await everything(connection)
    await connection.execute(BREAK.format(table=table))
    try:
        with pytest.raises(Exception, match="the disk is full"):
            await decide(connection, CLI, Decision(choice, SPAM, "1.0", "why"))
        assert await everything(connection) == kept
    finally:
        await connection.execute(MEND.format(table=table))


# Who may decide


@pytest.mark.parametrize(
    ("role", "scope", "allowed"),
    [
        ("reviewer", "*", True),
        ("reviewer", "spam", True),
        ("admin", "*", True),
        ("reviewer", "eggs", False),
        ("uploader", "*", False),
        (None, "", False),
    ],
)
@pytest.mark.parametrize("door", ["signal", "admin", "api"])
@pytest.mark.parametrize("choice", [Choice.APPROVE, Choice.BLOCK, Choice.EXTEND, Choice.EXCEPT, Choice.RECALL])
async def test_reviewers(
    connection: Connection, door: str, role: str | None, scope: str, choice: Choice, *, allowed: bool
) -> None:
    """Through every door but the command line only an account that may decide this project decides it."""
    await release(connection)
    account = await upsert_account(connection, "eve", None)
    if role:
        await insert_grant(connection, account, role, scope)
    before = await written(connection)
    actor = Actor("eve", door)
    if allowed:
        wanted = Decision(choice, SPAM, "1.0", "why", **GIVEN.get(choice, {}))
        assert (await decide(connection, actor, wanted)).filenames == (WHEEL, SDIST)
        assert {entry[:2] for entry in await journal(connection)} == {("eve", door)}
    else:
        with pytest.raises(NotAllowed, match="eve may not decide spam"):
            await decide(connection, actor, Decision(choice, SPAM, "1.0", "why", **GIVEN.get(choice, {})))
        assert await written(connection) == before


@pytest.mark.parametrize("name", ["nobody", "ada", ""])
async def test_strangers(connection: Connection, name: str) -> None:
    """A name without an account, and one whose account was disabled, decides nothing."""
    await release(connection)
    account = await upsert_account(connection, "ada", None)
    await insert_grant(connection, account, "admin")
    await connection.execute("UPDATE account SET disabled_at = now()")
    before = await written(connection)
    with pytest.raises(NotAllowed, match="there is no account"):
        await choose(connection, Choice.APPROVE, actor=Actor(name, "signal"))
    assert await written(connection) == before


# Several at once


async def at_once(pool: Pool, *acts: Callable[[Connection], Awaitable[object]]) -> list[object]:
    async def run(act: Callable[[Connection], Awaitable[object]]) -> object:
        async with pool.acquire() as connection:
            return await act(connection)

    return await asyncio.gather(*(run(act) for act in acts), return_exceptions=True)


async def moves(connection: Connection) -> dict[str, int]:
    """How many journal rows there are for each file."""
    rows = await connection.fetch("SELECT filename, count(*) FROM journal WHERE filename IS NOT NULL GROUP BY filename")
    return {row["filename"]: row["count"] for row in rows}


async def test_many_approve_at_once(pool: Pool, connection: Connection) -> None:
    """Of ten that approve the same release one moves its files, and the others find nothing to change."""
    await release(connection)
    outcomes = await at_once(pool, *[lambda each: choose(each, Choice.APPROVE)] * 10)
    assert sorted(str(outcome) for outcome in outcomes) == ["nothing to change"] * 9 + ["serial 2, 2 files moved"]
    assert await moves(connection) == {WHEEL: 1, SDIST: 1}


async def test_many_block_at_once(pool: Pool, connection: Connection) -> None:
    """However many block a release, each of its files is moved once."""
    await release(connection)
    outcomes = await at_once(pool, *[lambda each: choose(each, Choice.BLOCK)] * 10)
    assert [
        outcome.filenames for outcome in outcomes if isinstance(outcome, DecisionOutcome) and outcome.filenames
    ] == [(WHEEL, SDIST)]
    assert await moves(connection) == {WHEEL: 1, SDIST: 1}


@pytest.mark.parametrize("attempt", range(5))
async def test_block_beats_approve(pool: Pool, connection: Connection, attempt: int) -> None:
    """Whoever comes first, in the end the release is blocked, and each move has one row."""
    await release(connection)
    acts = [lambda each: choose(each, Choice.APPROVE), lambda each: choose(each, Choice.BLOCK)]
    approved, blocked = await at_once(pool, *acts)
    states = await select_states(connection, SPAM)
    assert (states[WHEEL], states[SDIST], states[LATER]) == (BLOCKED, BLOCKED, HELD)
    assert isinstance(blocked, DecisionOutcome)
    if isinstance(approved, DecisionOutcome):
        assert await moves(connection) == {WHEEL: 2, SDIST: 2}
    else:
        assert isinstance(approved, UsageError)
        assert await moves(connection) == {WHEEL: 1, SDIST: 1}


async def test_people_and_time_at_once(pool: Pool, connection: Connection) -> None:
    """Time and a person that release the same files at the same moment leave one row for one move."""
    await set_clock(connection, NOON)
    await add_project(connection, "spam", [new_file(WHEEL, release_at=NOON - DAY)], looked_at=NOON)
    acts = [lambda each: choose(each, Choice.APPROVE), lambda each: settle(each, SPAM, "1.0", WEEK)] * 5
    assert not [error for error in await at_once(pool, *acts) if isinstance(error, BaseException)]
    assert await select_states(connection, SPAM) == {WHEEL: RELEASED}
    assert await moves(connection) == {WHEEL: 1}


async def waits_for_a_lock(connection: Connection) -> None:
    """Wait until some other session of this database waits for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(20):
        while not await connection.fetchval(waiting):
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("act", ["note_failure", "settle", "decide"])
async def test_locks_are_taken_in_one_order(pool: Pool, connection: Connection, act: str) -> None:
    """Whoever changes a release first locks its project: two of them wait for each other, never both at once."""
    await release(connection)
    item = (await select_files(connection, SPAM))[WHEEL]
    acts: dict[str, Callable[[Connection], Awaitable[object]]] = {
        "note_failure": lambda each: note_failure(each, item, "the upstream is down"),
        "settle": lambda each: settle(each, SPAM, "1.0", WEEK),
        "decide": lambda each: choose(each, Choice.BLOCK),
    }
    async with pool.acquire() as mine, mine.transaction():
        await lock_project(mine, SPAM)
        other = asyncio.create_task(at_once(pool, acts[act]))
        await waits_for_a_lock(connection)
        locked = await lock_release_files(mine, SPAM, None)
        assert len(locked) == 3
    assert not [error for error in await other if isinstance(error, BaseException)]


# Time


async def waiting(connection: Connection, *, release_at: Any = NOON, looked_at: Any = NOON, **changes: Any) -> None:
    """A held release whose window ends at noon, at a moment after that."""
    await set_clock(connection, NOON + DAY)
    files = [new_file(name, release_at=release_at, **changes) for name in (WHEEL, SDIST)]
    await add_project(connection, "spam", files, looked_at=looked_at)


async def test_time_releases(connection: Connection) -> None:
    """A window that ended releases, in the name of the system, once however often it is asked."""
    await waiting(connection)
    first = await settle(connection, SPAM, "1.0", WEEK)
    assert (first.held, first.state, first.recheck_in, first.needs_refresh) == ((), RELEASED, None, False)
    assert first.reasons == ("the quarantine window ended",)
    after = await written(connection)
    assert after.states == {WHEEL: RELEASED, SDIST: RELEASED}
    assert await journal(connection) == [
        ("system", "system", "released", "1.0", WHEEL),
        ("system", "system", "released", "1.0", SDIST),
    ]
    files = await select_files(connection, SPAM)
    assert files[WHEEL].standing.available_at == NOON + DAY
    assert (files[WHEEL].standing.release_at, files[WHEEL].standing.reason) == (NOON, "the quarantine window ended")
    for _ in range(2):
        assert (await settle(connection, SPAM, "1.0", WEEK)).state is RELEASED
    assert await written(connection) == after


async def test_settling_at_once_moves_once(pool: Pool, connection: Connection) -> None:
    """A timer that fires several times at once moves each file once."""
    await waiting(connection)
    settled = await at_once(pool, *[lambda each: settle(each, SPAM, "1.0", WEEK)] * 10)
    assert not [error for error in settled if isinstance(error, BaseException)]
    assert await moves(connection) == {WHEEL: 1, SDIST: 1}


@pytest.mark.parametrize(
    ("changes", "recheck_in", "needs_refresh"),
    [
        ({"release_at": NOON + 3 * DAY}, 2 * DAY, False),
        ({"release_at": NOON + DAY + timedelta(seconds=1)}, SOONEST, False),
        ({"release_at": None}, None, False),
        ({"looked_at": NOON - DAY}, SOONEST, True),
        ({"sha256": None}, SOONEST, False),
    ],
)
async def test_what_waits_says_until_when(
    connection: Connection, changes: dict[str, Any], recheck_in: timedelta | None, *, needs_refresh: bool
) -> None:
    """What may not be released yet stays held, nothing is written, and the next look is not before it is worth it."""
    await waiting(connection, **changes)
    before = await written(connection)
    found = await settle(connection, SPAM, "1.0", WEEK)
    assert (found.recheck_in, found.needs_refresh, found.state) == (recheck_in, needs_refresh, HELD)
    assert [file.filename for file in found.held] == [WHEEL, SDIST]
    assert found.release_at == changes.get("release_at", NOON)
    assert await written(connection) == before


async def test_what_was_taken_back_is_blocked(connection: Connection) -> None:
    """A file that the upstream yanked while it was held is blocked, and its neighbour released."""
    await waiting(connection)
    await connection.execute("UPDATE file SET yanked = 'broken' WHERE filename = $1", WHEEL)
    found = await settle(connection, SPAM, "1.0", WEEK)
    assert found.state is BLOCKED
    assert await select_states(connection, SPAM) == {WHEEL: BLOCKED, SDIST: RELEASED}
    assert sorted(entry[2:] for entry in await journal(connection)) == [
        ("blocked", "1.0", WHEEL),
        ("released", "1.0", SDIST),
    ]


async def test_a_quarantined_project_is_blocked(connection: Connection) -> None:
    """When the upstream quarantines a project, what was released goes too."""
    await waiting(connection)
    await settle(connection, SPAM, "1.0", WEEK)
    await connection.execute("UPDATE project SET status = $1, status_reason = 'malware'", ProjectStatus.QUARANTINED)
    found = await settle(connection, SPAM, "1.0", WEEK)
    assert (found.state, found.reasons) == (BLOCKED, ("the upstream quarantined the project: malware",))
    assert set((await select_states(connection, SPAM)).values()) == {BLOCKED}


async def test_only_the_release_is_settled(connection: Connection) -> None:
    """Other releases of the project, and projects that nobody knows, are left alone."""
    await waiting(connection)
    before = await written(connection)
    assert (await settle(connection, SPAM, "2.0", WEEK)).held == ()
    assert (await settle(connection, NormalizedName("eggs"), "1.0", WEEK)).held == ()
    assert await written(connection) == before


async def test_a_failed_fetch_is_noted_once(connection: Connection) -> None:
    """Why a held file could not be fetched stands beside it; saying it again, or of a released one, changes nothing."""
    await release(connection)
    item = (await select_files(connection, SPAM))[WHEEL]
    for _ in range(2):
        await note_failure(connection, item, "the upstream is down")
    files = await select_files(connection, SPAM)
    assert files[WHEEL].standing.reason == "the upstream is down"
    assert files[SDIST].standing.reason != "the upstream is down"
    assert await journal(connection) == [("system", "system", "fetch failed", "1.0", WHEEL)]
    await choose(connection, Choice.APPROVE)
    before = await written(connection)
    await note_failure(connection, item, "still down")
    assert await written(connection) == before
