"""Exceptions: exactly these bytes, for a time, with a reason and a ticket."""

from datetime import timedelta
from typing import Any

import pytest
from packaging.utils import NormalizedName

from koschey.db.accounts import insert_grant, upsert_account
from koschey.db.journal import select_serial
from koschey.db.policies import load_policy
from koschey.db.pool import Connection
from koschey.db.projects import select_now, select_project
from koschey.db.rules import select_exceptions, upsert_rule
from koschey.errors import KoscheyError, NotAllowed, NotKnown, UsageError
from koschey.model import Actor, ProjectStatus, Sha256, State
from koschey.policy.rules import Rule, RuleKind
from koschey.policy.verdict import verdict
from koschey.quarantine.decide import Choice, Decision, DecisionOutcome, decide
from tests.support.postgres import set_clock
from tests.support.rows import NOON, add_project, digest_of, new_file, select_files, select_states

SPAM = NormalizedName("spam")
CLI = Actor("ada", "cli")
WHEEL, SDIST, LATER = "spam-1.0-py3-none-any.whl", "spam-1.0.tar.gz", "spam-2.0.tar.gz"
DAY = timedelta(days=1)


async def make(
    connection: Connection, actor: Actor = CLI, version: str | None = "1.0", **given: Any
) -> DecisionOutcome:
    values: dict[str, Any] = {"days": 10, "ticket": "SEC-1"} | given
    return await decide(connection, actor, Decision(Choice.EXCEPT, SPAM, version, "a fix", **values))


@pytest.fixture(name="spam")
async def _spam(connection: Connection) -> Connection:
    """Two held files of one release and one of a later; the clock stands at noon."""
    await set_clock(connection, NOON)
    await add_project(connection, "spam", [new_file(name) for name in (WHEEL, SDIST, LATER)])
    return connection


async def served(connection: Connection) -> set[str]:
    """What the verdict serves now; the database's own view must say the same."""
    project = await select_project(connection, SPAM)
    assert project is not None
    policy, now = await load_policy(connection, project), await select_now(connection)
    found = await select_files(connection, SPAM)
    names = {name for name, item in found.items() if verdict(item.file, item.standing, policy, now).served}
    rows = await connection.fetch("SELECT filename FROM served_file")
    assert {row["filename"] for row in rows} == names
    return names


async def test_what_is_held_is_served_for_a_time(spam: Connection) -> None:
    """The held files of the release are served until the exception ends, and their state stays held."""
    outcome = await make(spam)
    assert (outcome.filenames, str(outcome)) == ((WHEEL, SDIST), "serial 2, 2 files excepted")
    assert await served(spam) == {WHEEL, SDIST}
    assert set((await select_states(spam, SPAM)).values()) == {State.HELD}
    rules = await select_exceptions(spam)
    assert rules == [
        Rule(RuleKind.EXCEPTION, "1.0", "a fix", "ada", "spam", name, digest_of(name), NOON + 10 * DAY, "SEC-1")
        for name in (WHEEL, SDIST)
    ]
    await set_clock(spam, NOON + 10 * DAY - timedelta(seconds=1))
    assert await served(spam) == {WHEEL, SDIST}
    await set_clock(spam, NOON + 10 * DAY)
    assert await served(spam) == set()
    assert await select_exceptions(spam) == []


async def test_it_is_written_down(spam: Connection) -> None:
    """Journal and decision name each file with its digest, the reason, the ticket and the end."""
    await make(spam)
    rows = await spam.fetch("SELECT actor, door, action, version, filename, detail FROM journal ORDER BY serial")
    assert [tuple(row)[:5] for row in rows] == [("ada", "cli", "except", "1.0", name) for name in (WHEEL, SDIST)]
    assert rows[0]["detail"] == {"reason": "a fix", "ticket": "SEC-1", "expires_at": "2026-12-02T12:00:00.000000Z"}
    rows = await spam.fetch("SELECT action, filename, sha256, ticket, actor FROM decision ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("except", name, digest_of(name), "SEC-1", "ada") for name in (WHEEL, SDIST)
    ]


async def test_one_file_of_a_release(spam: Connection) -> None:
    """With a filename and its sha256 only that file is served."""
    assert (await make(spam, filename=SDIST, sha256=digest_of(SDIST))).filenames == (SDIST,)
    assert await served(spam) == {SDIST}


async def test_a_file_without_a_digest_is_left_out(connection: Connection) -> None:
    """Of a release as a whole those files are served whose bytes are known."""
    await add_project(connection, "spam", [new_file(WHEEL), new_file(SDIST, sha256=None)])
    assert (await make(connection)).filenames == (WHEEL,)


async def test_the_same_again_changes_nothing(spam: Connection) -> None:
    """An exception that stands already writes nothing; one with another end takes its place."""
    await make(spam)
    before = await select_serial(spam)
    assert str(await make(spam)) == "nothing to change"
    assert await select_serial(spam) == before
    assert (await make(spam, days=3)).filenames == (WHEEL, SDIST)
    assert [rule.expires_at for rule in await select_exceptions(spam)] == [NOON + 3 * DAY] * 2


@pytest.mark.parametrize("scope", ["1.0", None])
@pytest.mark.parametrize("choice", [Choice.BLOCK, Choice.RECALL])
async def test_a_block_lifts_them(spam: Connection, choice: Choice, scope: str | None) -> None:
    """Who blocks ends the exceptions of the scope, and the journal says which; an unblock does not bring them back."""
    await make(spam)
    await make(spam, version="2.0")
    await decide(spam, CLI, Decision(choice, SPAM, scope, "malware"))
    left = {rule.version for rule in await select_exceptions(spam)}
    assert left == (set() if scope is None else {"2.0"})
    detail = await spam.fetchval("SELECT detail FROM journal WHERE action = $1 LIMIT 1", choice)
    lifted = [f"{name}, by ada: a fix" for name in (WHEEL, SDIST, *(() if scope else (LATER,)))]
    assert sorted(detail["lifted_exceptions"]) == sorted(lifted)
    assert await served(spam) == ({LATER} if scope else set())
    await decide(spam, CLI, Decision(Choice.UNBLOCK, SPAM, scope, "no"))
    await decide(spam, Actor("bob", "cli"), Decision(Choice.UNBLOCK, SPAM, scope, "no"))
    assert await served(spam) == ({LATER} if scope else set())


# Refusals


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"version": None}, UsageError, "for one release"),
        ({"version": "9.9"}, NotKnown, "spam==9.9 is not known here"),
        *(
            ({"days": days}, UsageError, "more than 0, and at most 90")
            for days in (None, 0, -1, 90.1, float("nan"), 1e300)
        ),
        *(({"ticket": ticket}, UsageError, "give the ticket") for ticket in (None, "", " ")),
        ({"ticket": "x" * 201}, UsageError, "a ticket is one line"),
        ({"ticket": "SEC\n1"}, UsageError, "a ticket is one line"),
        ({"filename": WHEEL}, UsageError, "together with the sha256"),
        ({"sha256": digest_of(WHEEL)}, UsageError, "together with the sha256"),
        ({"filename": "spam-1.0.zip", "sha256": digest_of(WHEEL)}, NotKnown, "has no file 'spam-1.0.zip'"),
        ({"filename": LATER, "sha256": digest_of(LATER)}, NotKnown, "has no file"),
        ({"filename": WHEEL, "sha256": digest_of(SDIST)}, UsageError, "has the sha256 .* check it again"),
    ],
)
async def test_refusals(spam: Connection, given: dict[str, Any], error: type[KoscheyError], message: str) -> None:
    """What is not known, not exact or without an end is refused in words, and leaves nothing."""
    with pytest.raises(error, match=message):
        await make(spam, **given)
    assert await select_exceptions(spam) == []
    assert await select_serial(spam) == 0


@pytest.mark.parametrize("state", [State.BLOCKED, State.MALFORMED, State.CONFLICT])
async def test_no_exception_for_what_may_not_be_served(connection: Connection, state: State) -> None:
    """What is blocked, malformed or in conflict is not served by an exception, not even a file beside it."""
    await add_project(connection, "spam", [new_file(WHEEL), new_file(SDIST, state)])
    with pytest.raises(UsageError, match=f"is {state}"):
        await make(connection)
    assert await select_exceptions(connection) == []


@pytest.mark.parametrize("kind", [RuleKind.BLOCKED, RuleKind.RESERVED])
async def test_a_rule_in_force_beats_it(spam: Connection, kind: RuleKind) -> None:
    """Under a block or a reservation nothing is served, so that no exception is made."""
    await upsert_rule(spam, kind, "spam", None, "ours", CLI)
    with pytest.raises(UsageError, match=r"a block by ada|reserved for private packages"):
        await make(spam)


async def test_no_exception_for_a_quarantined_project(spam: Connection) -> None:
    """What its upstream has quarantined is not served."""
    await spam.execute("UPDATE project SET status = $1", ProjectStatus.QUARANTINED)
    with pytest.raises(UsageError, match="the upstream has quarantined spam"):
        await make(spam)


async def test_no_exception_for_unknown_bytes(connection: Connection) -> None:
    """What was never hashed cannot be named exactly."""
    await add_project(connection, "spam", [new_file(SDIST, sha256=None)])
    named: dict[str, Any] = {"filename": SDIST, "sha256": Sha256("0" * 64)}
    for given in ({}, named):
        with pytest.raises(UsageError, match="not downloaded yet"):
            await make(connection, **given)


async def test_no_exception_for_what_the_upstream_took_away(spam: Connection) -> None:
    """What is gone upstream will be blocked, and nobody vouches for it any more."""
    await spam.execute("UPDATE file SET absent_since = now() WHERE filename = $1", WHEEL)
    with pytest.raises(UsageError, match=r"has removed spam-"):
        await make(spam)


async def test_what_is_released_needs_none(connection: Connection) -> None:
    """For files that are served already there is nothing to change."""
    await add_project(connection, "spam", [new_file(WHEEL, State.RELEASED)])
    assert str(await make(connection)) == "nothing to change"
    assert str(await make(connection, filename=WHEEL, sha256=digest_of(WHEEL))) == "nothing to change"


@pytest.mark.parametrize(("role", "scope", "allowed"), [("reviewer", "spam", True), ("reviewer", "eggs", False)])
async def test_who_may(spam: Connection, role: str, scope: str, *, allowed: bool) -> None:
    """Only who decides about the project makes exceptions for it."""
    await insert_grant(spam, await upsert_account(spam, "eve", None), role, scope)
    actor = Actor("eve", "api")
    if allowed:
        assert (await make(spam, actor)).filenames == (WHEEL, SDIST)
    else:
        with pytest.raises(NotAllowed):
            await make(spam, actor)
        assert await select_exceptions(spam) == []


async def test_the_report_is_sorted_and_cut(spam: Connection) -> None:
    """The report shows first what ends first, and only what ends in time where that is asked."""
    await make(spam, days=20)
    await make(spam, version="2.0", days=5)
    assert [rule.version for rule in await select_exceptions(spam)] == ["2.0", "1.0", "1.0"]
    assert [rule.version for rule in await select_exceptions(spam, NOON + 7 * DAY)] == ["2.0"]
