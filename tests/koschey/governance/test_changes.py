"""The policy on a real database: every change is whole, is recorded, and wakes what it reaches."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from koschey.auth.permissions import Action
from koschey.db import scopes
from koschey.db.accounts import insert_grant, upsert_account
from koschey.db.pool import Connection
from koschey.db.rules import select_all_rules, write_rule
from koschey.errors import NotAllowed, NotKnown, UsageError
from koschey.governance.changes import apply_policy, set_rule, unset_rule
from koschey.governance.expiry import expire_rules
from koschey.governance.terms import Terms
from koschey.model import Actor, Origin, State
from koschey.outbox import ReleaseHeld, render_message
from koschey.policy.rules import Rule, RuleKind, covers
from koschey.quarantine.settle import settle
from tests.support.policies import PROJECTS, PROPERTY, SCOPES
from tests.support.policy_changes import CLI, DAY, messages
from tests.support.postgres import set_clock
from tests.support.rows import NOON, WEEK, add_project, new_file


async def journal(connection: Connection) -> list[tuple[str, str, str, str | None, dict[str, object]]]:
    rows = await connection.fetch("SELECT actor, action, project, version, detail FROM journal ORDER BY serial")
    return [tuple(row) for row in rows]


# Scopes


@PROPERTY
@given(
    st.lists(st.tuples(st.text("ac*-@=", max_size=6) | st.sampled_from(SCOPES), st.text("ac-", max_size=6)), min_size=1)
)
async def test_scopes_cover_the_same_in_both_languages(connection: Connection, pairs: list[tuple[str, str]]) -> None:
    """Whatever stands in a rule and whatever a project is called, PostgreSQL covers what Python covers."""
    pairs += [(scope, project) for scope in SCOPES for project in PROJECTS]
    query = "SELECT in_scope(s, p, $3) AS found FROM unnest($1::text[], $2::text[]) AS pair (s, p)"
    for origin in Origin:
        found = await connection.fetch(query, [scope for scope, _ in pairs], [name for _, name in pairs], origin)
        assert [row["found"] for row in found] == [covers(scope, name, origin) for scope, name in pairs]


async def test_covered_files_come_project_by_project(connection: Connection) -> None:
    """However many rules cover a file it comes once, with the project that it is of."""
    await add_project(connection, "acme", [new_file("acme-1.0.zip"), new_file("acme-2.0.zip")])
    await add_project(connection, "other", [new_file("other-1.0.zip", State.BLOCKED)])
    wanted = [Rule(RuleKind.TRUSTED, None, "x", "ada", scope) for scope in ("*", "acme", "@upstream")]
    async with connection.transaction():
        found = [item async for item in scopes.stream_covered(connection, wanted, [State.HELD])]
    assert [(owner.name, [item.file.filename for item in items]) for owner, items in found] == [
        ("acme", ["acme-1.0.zip", "acme-2.0.zip"])
    ]


# What a change leaves behind


async def test_a_change_is_recorded_and_wakes_what_is_held(connection: Connection) -> None:
    """Setting a rule writes it, a decision and a journal row with what was before, and asks for each held release."""
    await add_project(
        connection, "acme", [new_file("acme-1.0.tar.gz"), new_file("acme-1.0.zip"), new_file("acme-2.0.zip")]
    )
    await add_project(connection, "other", [new_file("other-1.0.tar.gz")])
    outcome = await set_rule(connection, CLI, Terms("window", "Acme-*", "14.0", reason="why", ticket="SEC-1"))
    assert (outcome.serial, outcome.rejudged, [change.mark for change in outcome.changes]) == (1, 2, ["+"])
    expected = [render_message(ReleaseHeld(NormalizedName("acme"), version)) for version in ("1.0", "2.0")]
    assert await messages(connection) == {key: (kind, payload) for kind, key, payload in expected}
    detail = {"kind": "window", "value": "14", "before": None, "reason": "why", "ticket": "SEC-1"}
    assert await journal(connection) == [("ada", "policy", "acme-*", None, detail)]
    row = await connection.fetchrow("SELECT * FROM decision")
    assert [row[name] for name in ("serial", "action", "project", "version", "actor", "door", "reason", "ticket")] == [
        *(1, "policy", "acme-*", None, "ada", "cli", "why", "SEC-1")
    ]
    again = await set_rule(connection, CLI, Terms("window", "acme-*", "3", reason="less"))
    assert (again.serial, again.changes[0].mark) == (2, "~")
    assert (await journal(connection))[1][4] == {"kind": "window", "value": "3", "before": "14", "reason": "less"}
    lifted = await unset_rule(connection, CLI, "window", "acme-*", None, "over")
    assert (lifted.serial, lifted.changes[0].mark) == (3, "-")
    assert (await journal(connection))[2][4] == {"kind": "window", "value": None, "before": "3", "reason": "over"}
    assert (await select_all_rules(connection)).rules == ()
    assert await connection.fetchval("SELECT count(*) FROM decision WHERE action = 'policy'") == 3


async def test_what_changes_nothing_leaves_nothing(connection: Connection) -> None:
    """The same rule again takes no serial; lifting none, or giving no reason, is refused and leaves nothing."""
    terms = Terms("observed", "*", reason="first weeks")
    assert (await set_rule(connection, CLI, terms)).serial == 1
    assert (await set_rule(connection, CLI, terms)).serial is None
    with pytest.raises(NotKnown, match="no rule check six about names is active"):
        await unset_rule(connection, CLI, "check", "six", "names", "x")
    with pytest.raises(UsageError, match="give a reason"):
        await unset_rule(connection, CLI, "observed", "*", None, " ")
    with pytest.raises(UsageError, match="give a reason"):
        await apply_policy(connection, CLI, [], "")
    assert await connection.fetchval("SELECT serial FROM journal_head") == 1
    assert await connection.fetchval("SELECT count(*) FROM rule") == 1


async def test_a_rule_of_one_release_wakes_that_release(connection: Connection) -> None:
    """A rule about one version reaches no other; what is released or blocked is woken by none."""
    await add_project(
        connection,
        "acme",
        [new_file("acme-1.0.zip"), new_file("acme-2.0.zip"), new_file("acme-3.0.zip", State.RELEASED)],
    )
    await set_rule(connection, CLI, Terms("window", "acme==2.0", "1", reason="why"))
    assert set(await messages(connection)) == {"release_held/acme/2.0"}
    assert (await journal(connection))[0][2:4] == ("acme", "2.0")


@pytest.mark.parametrize(
    ("role", "grant"), [(None, None), ("reviewer", "*"), ("maintainer", "*"), ("auditor", "*"), ("admin", "six")]
)
async def test_only_who_manages_the_scope_changes_it(
    connection: Connection, role: str | None, grant: str | None
) -> None:
    """By any door but the command line, a change needs the permission to manage all that it is about."""
    actor = Actor("bob", "api")
    if role and grant:
        account = await upsert_account(connection, "bob", None)
        await insert_grant(connection, account, role, grant)
    for change in (
        set_rule(connection, actor, Terms("trusted", "acme", reason="x")),
        set_rule(connection, actor, Terms("trusted", "*", reason="x")),
        unset_rule(connection, actor, "trusted", "acme", None, "x"),
        apply_policy(connection, actor, [], "x"),
    ):
        with pytest.raises(NotAllowed):
            await change
    assert await connection.fetchval("SELECT serial FROM journal_head") == 0
    if role == "admin":
        assert (await set_rule(connection, actor, Terms("trusted", "six", reason="x"))).serial == 1
    assert Action.MANAGE


async def test_apply_keeps_exceptions_and_authors(connection: Connection) -> None:
    """Exceptions stay, what says the same stays its author's, and all else is as the file says."""
    exception = Rule(
        RuleKind.EXCEPTION, "1.0", "now", "eve", "six", "six-1.0.zip", "0" * 64, expires_at=NOON + 365 * DAY
    )
    await set_clock(connection, NOON)
    await write_rule(connection, exception)
    kept = Rule(RuleKind.WINDOW, None, "usual", "eve", "*", value="7")
    await write_rule(connection, kept)
    await write_rule(connection, Rule(RuleKind.BLOCKED, None, "old", "eve", "evil"))
    new = Rule(RuleKind.RESERVED, None, "ours", "ada", "acme-*")
    outcome = await apply_policy(connection, CLI, [replace(kept, actor="ada"), new], "from version control")
    assert [(change.mark, change.rule.kind) for change in outcome.changes] == [("-", "blocked"), ("+", "reserved")]
    assert set((await select_all_rules(connection)).rules) == {exception, kept, new}


async def test_changes_at_once_are_all_carried_out(pool: Any, connection: Connection) -> None:
    """Rules set from many sides at once, and settlings beside them, wait for each other and none is lost."""
    names = [f"acme-{number}" for number in range(6)]
    for name in names:
        wheel = f"{name.replace('-', '_')}-1.0.zip"
        await add_project(connection, name, [new_file("x-1.0.zip")._replace(filename=wheel, path=f"/packages/{name}")])

    async def put(scope: str) -> None:
        async with pool.acquire() as own:
            await set_rule(own, CLI, Terms("window", scope, "3", reason="why"))

    async def judge(name: str) -> None:
        async with pool.acquire() as own:
            await settle(own, NormalizedName(name), "1.0", WEEK)

    await asyncio.gather(*(put(scope) for scope in ("*", "acme-*", *names)), *(judge(name) for name in names * 2))
    assert len((await select_all_rules(connection)).rules) == 8
    assert await connection.fetchval("SELECT count(*) FROM journal WHERE action = 'policy'") == 8


# Rules that end


async def test_ended_rules_are_cleared_away(connection: Connection) -> None:
    """A rule that ended is removed with a journal row, and what it covered is judged anew; done again, nothing."""
    await set_clock(connection, NOON)
    await add_project(connection, "acme", [new_file("acme-1.0.zip")])
    await add_project(connection, "other", [new_file("other-1.0.zip")])
    for scope, days in (("acme", 1), ("other", 2)):
        await set_rule(connection, CLI, Terms("observed", scope, reason="first", expires=NOON + days * DAY))
    await connection.execute("DELETE FROM outbox")
    assert await expire_rules(connection) == 0
    await set_clock(connection, NOON + DAY)
    assert await expire_rules(connection) == 1
    assert await expire_rules(connection) == 0
    assert set(await messages(connection)) == {"release_held/acme/1.0"}
    actor, action, project, version, detail = (await journal(connection))[-1]
    assert (actor, action, project, version) == ("system", "policy ended", "acme", None)
    assert detail["kind"] == "observed"
    assert detail["actor"] == "ada"
    assert [rule.scope for rule in (await select_all_rules(connection)).rules] == ["other"]
