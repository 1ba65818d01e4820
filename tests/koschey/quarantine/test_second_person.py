"""Decisions that need two people: who proposes, who agrees, to which bytes, and what is written down."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from packaging.utils import NormalizedName

from koschey.db.accounts import insert_grant, upsert_account
from koschey.db.files import insert_files
from koschey.db.journal import select_serial
from koschey.db.pool import Connection, Pool
from koschey.db.projects import select_project
from koschey.db.proposals import select_open_proposals
from koschey.db.rules import select_exceptions, select_rules, upsert_rule
from koschey.errors import NotAllowed, UsageError
from koschey.events import AlertKind
from koschey.model import Actor, State
from koschey.policy.rules import RuleKind
from koschey.quarantine.decide import Choice, Decision, DecisionOutcome, decide
from tests.support.postgres import set_clock
from tests.support.rows import NOON, add_project, digest_of, new_file, raise_alert, select_states

SPAM = NormalizedName("spam")
WHEEL, SDIST, LATE = "spam-1.0-py3-none-any.whl", "spam-1.0.tar.gz", "spam-1.0-py2-none-any.whl"
ADA, BOB, EVE = Actor("ada", "cli"), Actor("bob", "cli"), Actor("eve", "admin")
EVE_CLI = Actor("eve", "cli")
HELD, RELEASED, BLOCKED = State.HELD, State.RELEASED, State.BLOCKED
WAITS = "pending until a second person agrees"
LETTING_OUT = [Choice.APPROVE, Choice.EXCEPT]


async def choose(
    connection: Connection, choice: Choice, actor: Actor, reason: str = "why", **given: Any
) -> DecisionOutcome:
    if choice is Choice.EXCEPT:
        given = {"days": 5, "ticket": "SEC-1"} | given
    version = given.pop("version", "1.0")
    return await decide(connection, actor, Decision(choice, SPAM, version, reason, **given))


@pytest.fixture(name="spam")
async def _spam(connection: Connection) -> Connection:
    """A release of two held files, for which two people are asked; the clock stands."""
    await set_clock(connection, NOON)
    await add_project(connection, "spam", [new_file(WHEEL), new_file(SDIST)])
    await upsert_rule(connection, RuleKind.SECOND_PERSON, "*", None, "four eyes", ADA)
    return connection


async def in_force(connection: Connection, choice: Choice) -> bool:
    """Whether both files are let out."""
    if choice is Choice.APPROVE:
        return set((await select_states(connection, SPAM)).values()) == {RELEASED}
    return {rule.subject for rule in await select_exceptions(connection)} == {WHEEL, SDIST}


@pytest.mark.parametrize("choice", LETTING_OUT)
async def test_a_second_person_puts_it_in_force(spam: Connection, choice: Choice) -> None:
    """The first person's decision waits and lets nothing out; the second's puts it in force in both names."""
    first = await choose(spam, choice, ADA, "I read it")
    assert (first.waits, first.filenames, str(first)) == (True, (), f"{WAITS}, serial 1")
    assert not await in_force(spam, choice)
    assert set((await select_states(spam, SPAM)).values()) == {HELD}
    assert await spam.fetchval("SELECT count(*) FROM decision") == 0
    second = await choose(spam, choice, BOB, "I too")
    assert (second.waits, second.filenames) == (False, (WHEEL, SDIST))
    assert await in_force(spam, choice)
    rows = await spam.fetch("SELECT action, actor, seconded_by, reason, sha256 FROM decision ORDER BY id")
    assert [tuple(row) for row in rows] == [
        (choice, "ada", "bob", "I read it", digest_of(name)) for name in (WHEEL, SDIST)
    ]
    rows = await spam.fetch("SELECT actor, action, detail FROM journal ORDER BY serial")
    assert [(row["actor"], row["action"]) for row in rows] == [("ada", "propose"), ("bob", choice), ("bob", choice)]
    assert rows[0]["detail"]["digests"] == sorted([digest_of(WHEEL), digest_of(SDIST)])
    said = rows[1]["detail"]
    assert (said["proposed_by"], said["seconded_by"], said["reason"], said["seconded"]) == (
        *("ada", "bob", "I read it", "I too"),
    )
    assert await select_open_proposals(spam) == []


@pytest.mark.parametrize("held", [True, False], ids=["held", "nothing"])
async def test_trust_is_no_way_around(spam: Connection, *, held: bool) -> None:
    """One person's trust waits as well, whether anything is held or all is still to come; the second's is a rule."""
    if not held:
        await choose(spam, Choice.BLOCK, ADA)
        before = {BLOCKED}
    else:
        before = {HELD}
    assert (await choose(spam, Choice.TRUST, ADA, version=None)).waits
    assert (await choose(spam, Choice.TRUST, ADA, version=None)).waits
    assert set((await select_states(spam, SPAM)).values()) == before
    assert (await select_rules(spam, SPAM)).find(RuleKind.TRUSTED, "1.0") is None
    assert not (await choose(spam, Choice.TRUST, BOB, version=None)).waits
    trusted = (await select_rules(spam, SPAM)).find(RuleKind.TRUSTED, "1.0")
    assert trusted is not None
    assert (trusted.actor, trusted.seconded_by) == ("ada", "bob")
    assert set((await select_states(spam, SPAM)).values()) == ({RELEASED} if held else {BLOCKED})


async def test_both_names_stand_in_the_exception(spam: Connection) -> None:
    """An exception names who wanted it and who agreed, and ends at the earlier of the ends that they named."""
    await choose(spam, Choice.EXCEPT, ADA, days=5)
    await choose(spam, Choice.EXCEPT, BOB, days=30)
    (first, _) = await select_exceptions(spam)
    assert (first.actor, first.seconded_by, first.ticket) == ("ada", "bob", "SEC-1")
    assert first.expires_at is not None
    assert (first.expires_at - NOON).days == 5


@pytest.mark.parametrize("choice", LETTING_OUT)
async def test_the_same_person_twice_changes_nothing(spam: Connection, choice: Choice) -> None:
    """However often one person decides, through whatever door, it waits, and nothing more is written."""
    account = await upsert_account(spam, "ada", None)
    await insert_grant(spam, account, "admin")
    await choose(spam, choice, ADA)
    for door in ("cli", "admin", "api"):
        again = await choose(spam, choice, Actor("ada", door))
        assert (again.serial, again.waits, str(again)) == (None, True, WAITS)
    assert await select_serial(spam) == 1
    assert not await in_force(spam, choice)


@pytest.mark.parametrize("choice", LETTING_OUT)
async def test_other_bytes_make_it_stale(spam: Connection, choice: Choice) -> None:
    """When a file has come meanwhile, nobody agrees to what the first did not see: the second proposes anew."""
    await choose(spam, choice, ADA)
    project = await select_project(spam, SPAM)
    assert project is not None
    await insert_files(spam, project.id, [new_file(LATE)])
    second = await choose(spam, choice, BOB)
    assert second.waits
    assert set((await select_states(spam, SPAM)).values()) == {HELD}
    (found,) = await select_open_proposals(spam)
    assert (found.actor, len(found.digests)) == ("bob", 3)
    assert await spam.fetchval("SELECT closed_by FROM proposal WHERE closed_at IS NOT NULL") == "bob"
    assert (await choose(spam, choice, ADA)).filenames == (WHEEL, SDIST, LATE)


async def test_who_may_not_decide_any_more_has_not_agreed(spam: Connection) -> None:
    """A proposal of somebody who lost the role since is none: two people who may decide are needed."""
    for name in ("eve", "bob"):
        await insert_grant(spam, await upsert_account(spam, name, None), "reviewer")
    await choose(spam, Choice.APPROVE, EVE)
    await spam.execute("UPDATE account SET disabled_at = now() WHERE name = 'eve'")
    assert (await choose(spam, Choice.APPROVE, Actor("bob", "api"))).waits
    with pytest.raises(NotAllowed):
        await choose(spam, Choice.APPROVE, EVE)
    assert set((await select_states(spam, SPAM)).values()) == {HELD}
    assert (await choose(spam, Choice.APPROVE, ADA)).filenames == (WHEEL, SDIST)


@pytest.mark.parametrize("actor", [Actor("eve", "signal"), Actor("ada", "signal")])
async def test_a_signal_is_nobody(spam: Connection, actor: Actor) -> None:
    """A signal proves no name, and is neither the first person nor the second."""
    for name in ("eve", "ada"):
        await insert_grant(spam, await upsert_account(spam, name, None), "reviewer")
    with pytest.raises(UsageError, match="a signal does not prove who sent it"):
        await choose(spam, Choice.APPROVE, actor)
    await choose(spam, Choice.APPROVE, ADA)
    with pytest.raises(UsageError, match="a signal does not prove who sent it"):
        await choose(spam, Choice.APPROVE, actor)
    assert set((await select_states(spam, SPAM)).values()) == {HELD}


@pytest.mark.parametrize("scope", ["eggs", "eggs-*"])
async def test_only_where_the_rule_covers(connection: Connection, scope: str) -> None:
    """A rule for other projects asks nothing here."""
    await add_project(connection, "spam", [new_file(WHEEL)])
    await upsert_rule(connection, RuleKind.SECOND_PERSON, scope, None, "four eyes", ADA)
    assert (await choose(connection, Choice.APPROVE, ADA)).filenames == (WHEEL,)


async def test_one_person_is_enough_to_hold_back(spam: Connection) -> None:
    """The rule asks two to let out, and one to block; the block ends what waits."""
    await choose(spam, Choice.APPROVE, ADA)
    assert (await choose(spam, Choice.BLOCK, BOB)).filenames == (WHEEL, SDIST)
    assert await select_open_proposals(spam) == []
    assert (await choose(spam, Choice.UNBLOCK, BOB)).filenames == (WHEEL, SDIST)
    # What was proposed before the block is not agreed to after it.
    assert (await choose(spam, Choice.APPROVE, BOB)).waits


async def test_what_cannot_be_agreed_to_is_not_listed(spam: Connection) -> None:
    """A proposal whose files are no longer held is not shown as open."""
    await choose(spam, Choice.APPROVE, ADA)
    assert len(await select_open_proposals(spam)) == 1
    await spam.execute("UPDATE standing SET state = 'released'")
    assert await select_open_proposals(spam) == []


# Lifting a recall


async def recalled(connection: Connection, version: str | None = "1.0") -> None:
    await add_project(connection, "spam", [new_file(WHEEL, RELEASED), new_file("spam-2.0.tar.gz", RELEASED)])
    await choose(connection, Choice.RECALL, ADA, version=version)


@pytest.mark.parametrize("version", ["1.0", None])
async def test_two_people_lift_a_recall(connection: Connection, version: str | None) -> None:
    """Without any rule, one person cannot lift a recall, and two can; then it is held."""
    await recalled(connection, version)
    assert (await choose(connection, Choice.UNBLOCK, BOB, version=version)).waits
    assert (await choose(connection, Choice.UNBLOCK, BOB, version=version)).waits
    assert (await select_states(connection, SPAM))[WHEEL] is BLOCKED
    lifted = await choose(connection, Choice.UNBLOCK, ADA, version=version)
    assert WHEEL in lifted.filenames
    assert (await select_states(connection, SPAM))[WHEEL] is HELD
    rows = await connection.fetch("SELECT actor, seconded_by FROM decision WHERE action = 'unblock'")
    assert {tuple(row) for row in rows} == {("bob", "ada")}
    assert not any(rule.kind is RuleKind.BLOCKED for rule in (await select_rules(connection, SPAM)).rules)
    # It was lifted: an ordinary block is again lifted by one.
    await choose(connection, Choice.BLOCK, ADA)
    assert (await choose(connection, Choice.UNBLOCK, ADA)).filenames == (WHEEL,)


@pytest.mark.parametrize("version", ["1.0", None])
async def test_a_block_over_a_recall_changes_nothing_about_it(connection: Connection, version: str | None) -> None:
    """Who blocks what was recalled cannot lift the recall with the block, of the release or of the project."""
    await recalled(connection)
    await choose(connection, Choice.BLOCK, EVE_CLI, version=version)
    await choose(connection, Choice.UNBLOCK, EVE_CLI, version=version)
    await choose(connection, Choice.UNBLOCK, EVE_CLI)
    await choose(connection, Choice.UNBLOCK, EVE_CLI, version=None)
    assert (await select_states(connection, SPAM))[WHEEL] is BLOCKED


async def test_a_report_of_malice_needs_two_as_well(connection: Connection) -> None:
    """A block of what an alert of the kind `recall` named is lifted by two."""
    await add_project(connection, "spam", [new_file(WHEEL, RELEASED)])
    await choose(connection, Choice.BLOCK, ADA)
    await raise_alert(connection, AlertKind.RECALL, "spam", "1.0")
    assert (await choose(connection, Choice.UNBLOCK, BOB)).waits
    assert (await choose(connection, Choice.UNBLOCK, ADA)).filenames == (WHEEL,)


async def test_a_report_on_several_releases_is_about_each(connection: Connection) -> None:
    """One alert that lists versions asks for two people for each of them, and for no other."""
    other = "spam-2.0-py3-none-any.whl"
    await add_project(connection, "spam", [new_file(name, RELEASED) for name in (WHEEL, other)])
    await choose(connection, Choice.BLOCK, ADA)
    await choose(connection, Choice.BLOCK, ADA, version="2.0")
    told: dict[str, object] = {"versions": ["0.9", "1.0"]}
    await raise_alert(connection, AlertKind.RECALL, "spam", detail=told)
    assert (await choose(connection, Choice.UNBLOCK, BOB, version="2.0")).filenames == (other,)
    assert (await choose(connection, Choice.UNBLOCK, BOB)).waits
    assert (await choose(connection, Choice.UNBLOCK, ADA)).filenames == (WHEEL,)


async def test_another_recall_makes_what_waits_stale(connection: Connection) -> None:
    """Who agreed to lift the first recall has not agreed to lift the second."""
    await recalled(connection)
    await choose(connection, Choice.UNBLOCK, BOB)
    await choose(connection, Choice.RECALL, ADA, "again", version=None)
    await choose(connection, Choice.UNBLOCK, ADA, version=None)
    assert (await select_states(connection, SPAM))[WHEEL] is BLOCKED


# At once


async def test_of_many_at_once_one_agrees(pool: Pool, spam: Connection) -> None:
    """Ten people at once: one proposes, one puts it in force, the others find nothing to change."""

    async def run(act: Callable[[Connection], Awaitable[DecisionOutcome]]) -> DecisionOutcome:
        async with pool.acquire() as connection:
            return await act(connection)

    def by(number: int) -> Callable[[Connection], Awaitable[DecisionOutcome]]:
        return lambda connection: choose(connection, Choice.APPROVE, Actor(f"person-{number}", "cli"))

    outcomes = await asyncio.gather(*(run(by(number)) for number in range(10)))
    assert sorted(str(outcome) for outcome in outcomes) == [
        *["nothing to change"] * 8,
        f"{WAITS}, serial 1",
        "serial 3, 2 files moved",
    ]


RITA, SAUL = Actor("rita", "api"), Actor("saul", "admin")
REQUEST = """
    INSERT INTO request (index_id, project, version, who, reason, answered_at)
    SELECT id, 'spam', $1, 'rita', 'I need it', $2 FROM index
"""
UPLOAD = """
    INSERT INTO journal (serial, at, actor, door, action, project, version, filename)
    SELECT serial + 1, now(), 'rita', 'upload', 'add file', 'spam', $1, 'spam.whl' FROM journal_head
"""
INVOLVED = [
    pytest.param((REQUEST, "1.0", None), "requested spam==1.0", id="requested"),
    pytest.param((UPLOAD, "1.0"), "uploaded spam==1.0", id="uploaded"),
    pytest.param((REQUEST, "2.0", None), None, id="requested another release"),
    pytest.param((UPLOAD, "2.0"), None, id="uploaded another release"),
    pytest.param((REQUEST, "1.0", NOON), None, id="requested, and answered"),
]


@pytest.mark.parametrize("choice", LETTING_OUT)
@pytest.mark.parametrize(("involved", "words"), INVOLVED)
async def test_nobody_decides_an_own_request_or_upload(
    spam: Connection, choice: Choice, involved: tuple[Any, ...], words: str | None
) -> None:
    """Where two people are needed, an account that requested or uploaded the release is neither of them."""
    for name in ("rita", "saul"):
        await insert_grant(spam, await upsert_account(spam, name, None), "reviewer")
    await spam.execute(*involved)
    await spam.execute("UPDATE journal_head SET serial = (SELECT coalesce(max(serial), 0) FROM journal)")
    if words is None:
        assert (await choose(spam, choice, RITA)).waits
        return
    for first in (None, SAUL):
        if first:
            assert (await choose(spam, choice, first)).waits
        with pytest.raises(NotAllowed, match=f"rita {words}, and where two people are needed, others must decide"):
            await choose(spam, choice, RITA)
        assert not await in_force(spam, choice)
    await choose(spam, choice, ADA)  # the command line is another person
    assert await in_force(spam, choice)


async def test_without_the_rule_a_reviewer_decides_an_own_request(spam: Connection) -> None:
    """One reviewer decides, also about an own request, where no rule asks for two people."""
    await insert_grant(spam, await upsert_account(spam, "rita", None), "reviewer")
    await spam.execute(REQUEST, "1.0", None)
    await spam.execute("DELETE FROM rule")
    await choose(spam, Choice.APPROVE, RITA)
    assert await in_force(spam, Choice.APPROVE)
