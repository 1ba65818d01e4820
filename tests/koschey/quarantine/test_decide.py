"""What people decide, on a real database: what each decision does, what is refused, and who may."""

import pytest

from koschey.db.accounts import insert_grant, upsert_account
from koschey.db.journal import select_serial
from koschey.db.pool import Connection
from koschey.db.projects import select_project
from koschey.db.rules import select_rules
from koschey.errors import KoscheyError, NotAllowed, NotKnown, UsageError
from koschey.model import Actor, State
from koschey.policy.rules import Rule, RuleKind
from koschey.quarantine.decide import Choice, Decision, DecisionOutcome, decide
from koschey.quarantine.settle import settle
from tests.support.decisions import (
    BLOCKED,
    GIVEN,
    HELD,
    LATER,
    RELEASED,
    SDIST,
    SPAM,
    WHEEL,
    Written,
    choose,
    decisions,
    journal,
    messages,
    release,
    written,
)
from tests.support.rows import NOON, WEEK, add_project, digest_of, new_file, select_files, select_states


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


# Who may decide


@pytest.mark.parametrize(
    ("role", "scope", "allowed"),
    [
        ("reviewer", "*", True),
        ("reviewer", "spam", True),
        ("admin", "*", True),
        ("reviewer", "eggs", False),
        ("uploader", "*", False),
        ("maintainer", "*", False),
        ("auditor", "*", False),
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
