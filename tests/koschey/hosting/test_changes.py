"""Changes to hosted projects on a real database: who may, what they change, and that they change it once."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from packaging.utils import NormalizedName

from koschey.db import files, projects
from koschey.db.accounts import insert_grant, upsert_account
from koschey.db.journal import select_serial
from koschey.db.policies import load_policy
from koschey.db.pool import Connection, Pool
from koschey.errors import NotAllowed, NotKnown, UsageError
from koschey.hosting.changes import HostedChange, HostedOutcome, Scope
from koschey.hosting.projects import remove, set_status, unyank, yank
from koschey.model import Actor, Origin, Project, ProjectStatus, State
from koschey.policy.verdict import verdict
from koschey.quarantine.decide import Choice, Decision, decide
from koschey.quarantine.settle import settle
from tests.support.rows import WEEK, add_project, new_file, select_files, select_states

ACME = NormalizedName("acme")
CLI = Actor("ada", "cli")
WHEEL, SDIST, LATER = "acme-1.0-py3-none-any.whl", "acme-1.0.tar.gz", "acme-2.0.tar.gz"
RELEASE, FILE, PROJECT = Scope(ACME, "1.0"), Scope(ACME, None, SDIST), Scope(ACME)
ALL = (WHEEL, SDIST, LATER)
HELD, RELEASED, BLOCKED, REMOVED = State.HELD, State.RELEASED, State.BLOCKED, State.REMOVED

type Operation = Callable[[Connection, HostedChange], Awaitable[HostedOutcome]]


async def archive(connection: Connection, change: HostedChange) -> HostedOutcome:
    return await set_status(connection, ProjectStatus.ARCHIVED, change)


async def quarantine(connection: Connection, change: HostedChange) -> HostedOutcome:
    return await set_status(connection, ProjectStatus.QUARANTINED, change)


async def activate(connection: Connection, change: HostedChange) -> HostedOutcome:
    return await set_status(connection, ProjectStatus.ACTIVE, change)


def because(scope: Scope, reason: str = "why", actor: Actor = CLI) -> HostedChange:
    return HostedChange(actor, scope, reason)


@pytest.fixture
async def acme(connection: Connection) -> NormalizedName:
    """A hosted project with a release of two files and a later release of one."""
    await projects.insert_project(connection, ACME, "Acme", Origin.HOSTED)
    new = [new_file(name, RELEASED, upstream_url=None) for name in ALL]
    found = await projects.select_project(connection, ACME)
    assert found is not None
    await files.insert_files(connection, found.id, new)
    return ACME


async def journal(connection: Connection) -> list[tuple[Any, ...]]:
    rows = await connection.fetch("SELECT action, version, filename, detail->>'reason' FROM journal ORDER BY serial")
    return [tuple(row) for row in rows]


async def yanks(connection: Connection) -> dict[str, str | None]:
    return {name: item.file.yanked for name, item in (await select_files(connection, ACME)).items()}


async def project_of(connection: Connection) -> Project:
    found = await projects.select_project(connection, ACME)
    assert found is not None
    return found


async def served(connection: Connection) -> set[str]:
    """What every surface would serve."""
    policy, now = await load_policy(connection, await project_of(connection)), await projects.select_now(connection)
    known = (await select_files(connection, ACME)).values()
    return {item.file.filename for item in known if verdict(item.file, item.standing, policy, now).served}


# Yank


async def test_yank_of_a_release(connection: Connection, acme: NormalizedName) -> None:
    """A yank marks every file of the release with the reason, one journal row each, and all stay served."""
    outcome = await yank(connection, because(RELEASE, "does not start"))
    assert outcome == HostedOutcome(await select_serial(connection), changed=True, filenames=(WHEEL, SDIST))
    assert await yanks(connection) == {WHEEL: "does not start", SDIST: "does not start", LATER: None}
    assert await journal(connection) == [
        ("yank release", "1.0", WHEEL, "does not start"),
        ("yank release", "1.0", SDIST, "does not start"),
    ]
    assert await served(connection) == set(ALL)
    assert (await project_of(connection)).serial == 2


async def test_yank_of_one_file(connection: Connection, acme: NormalizedName) -> None:
    """One file of a release can be yanked, as the standard has it."""
    assert (await yank(connection, because(FILE))).filenames == (SDIST,)
    assert await yanks(connection) == {WHEEL: None, SDIST: "why", LATER: None}
    assert await journal(connection) == [("yank file", "1.0", SDIST, "why")]


async def test_unyank(connection: Connection, acme: NormalizedName) -> None:
    """A yank is taken back, of the files that are yanked."""
    await yank(connection, because(FILE))
    assert (await unyank(connection, because(RELEASE, "it does start"))).filenames == (SDIST,)
    assert set((await yanks(connection)).values()) == {None}
    assert (await journal(connection))[1:] == [("unyank release", "1.0", SDIST, "it does start")]


async def test_another_reason_replaces_the_first(connection: Connection, acme: NormalizedName) -> None:
    """Yanking again with another reason corrects it, and is a change."""
    await yank(connection, because(RELEASE, "brocken"))
    assert (await yank(connection, because(RELEASE, "broken"))).changed
    assert (await yanks(connection))[WHEEL] == "broken"


@pytest.mark.parametrize("operation", [yank, unyank])
async def test_a_project_is_not_yanked_as_a_whole(
    connection: Connection, acme: NormalizedName, operation: Operation
) -> None:
    """A yank names a release; that of a whole project would be its status."""
    with pytest.raises(UsageError, match="name==version"):
        await operation(connection, because(PROJECT))


# Remove


@pytest.mark.parametrize(
    ("scope", "gone", "action"),
    [
        (FILE, (SDIST,), "remove file"),
        (RELEASE, (WHEEL, SDIST), "remove release"),
        (PROJECT, ALL, "remove project"),
        (Scope(ACME, "2.0", LATER), (LATER,), "remove file"),
    ],
    ids=str,
)
async def test_remove(
    connection: Connection, acme: NormalizedName, scope: Scope, gone: tuple[str, ...], action: str
) -> None:
    """What is removed becomes a tombstone, one journal row each, and is served no more; all else is."""
    outcome = await remove(connection, because(scope, "it held a key"))
    assert outcome == HostedOutcome(await select_serial(connection), changed=True, filenames=gone)
    states = await select_states(connection, acme)
    assert {name for name, state in states.items() if state is REMOVED} == set(gone)
    assert await served(connection) == set(ALL) - set(gone)
    assert [(row[0], row[2]) for row in await journal(connection)] == [(action, name) for name in gone]
    standing = (await select_files(connection, acme))[gone[0]].standing
    assert standing.reason == "it held a key (removed by ada)"


async def test_what_is_removed_is_not_yanked(connection: Connection, acme: NormalizedName) -> None:
    """A tombstone is left alone by whatever comes after it."""
    await remove(connection, because(FILE))
    assert (await yank(connection, because(RELEASE))).filenames == (WHEEL,)
    assert (await yank(connection, because(FILE))).changed is False


async def test_removal_wakes_the_workflow_of_a_held_release(connection: Connection, acme: NormalizedName) -> None:
    """A release that a workflow waits for is looked at again when its files go."""
    await decide(connection, CLI, Decision(Choice.BLOCK, ACME, "1.0", "why"))
    await decide(connection, CLI, Decision(Choice.UNBLOCK, ACME, "1.0", "why"))
    await connection.execute("DELETE FROM outbox")
    await remove(connection, because(PROJECT))
    keys = [row["key"] for row in await connection.fetch("SELECT key FROM outbox")]
    assert keys == ["release_held/acme/1.0"]
    assert (await settle(connection, ACME, "1.0", WEEK)).held == ()


@pytest.mark.parametrize("table", ["project", "file", "standing"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "TRUNCATE {} CASCADE"])
async def test_nothing_is_deleted(connection: Connection, acme: NormalizedName, statement: str, table: str) -> None:
    """The database itself refuses to forget what was accepted."""
    with pytest.raises(asyncpg.RaiseError, match="nothing is deleted"):
        await connection.execute(statement.format(table))
    assert set(await select_states(connection, acme)) == set(ALL)


@pytest.mark.parametrize("statement", ["UPDATE project SET origin = 'mirrored'", "UPDATE project SET name = 'other'"])
async def test_a_name_keeps_its_origin(connection: Connection, acme: NormalizedName, statement: str) -> None:
    """No statement alone makes a private name the upstream's, and no project takes another's name."""
    with pytest.raises(asyncpg.RaiseError, match=r"only a claim, or its reverse, changes that|keeps its name"):
        await connection.execute(statement)
    assert (await project_of(connection)).origin is Origin.HOSTED


# Status


@pytest.mark.parametrize("status", [ProjectStatus.ARCHIVED, ProjectStatus.DEPRECATED, ProjectStatus.QUARANTINED])
async def test_status(connection: Connection, acme: NormalizedName, status: ProjectStatus) -> None:
    """A status is set with its reason, in one journal row; only a quarantine hides files."""
    outcome = await set_status(connection, status, because(PROJECT, "use acme-core"))
    assert outcome == HostedOutcome(await select_serial(connection), changed=True)
    project = await project_of(connection)
    assert (project.status, project.status_reason) == (status, "use acme-core")
    assert await journal(connection) == [("project status", None, None, "use acme-core")]
    assert await connection.fetchval("SELECT detail->>'was' FROM journal") == "active"
    assert await served(connection) == (set() if status is ProjectStatus.QUARANTINED else set(ALL))
    await activate(connection, because(PROJECT, "it is back"))
    project = await project_of(connection)
    assert (project.status, project.status_reason) == (ProjectStatus.ACTIVE, None)
    assert await served(connection) == set(ALL)


async def test_a_lifted_quarantine_leaves_everything_as_it_was(connection: Connection, acme: NormalizedName) -> None:
    """Exactly what was served before is served again, though the releases were settled meanwhile."""
    await decide(connection, CLI, Decision(Choice.BLOCK, ACME, "2.0", "why"))
    await decide(connection, CLI, Decision(Choice.UNBLOCK, ACME, "2.0", "why"))
    await connection.execute(
        "UPDATE standing SET state = 'blocked' FROM file WHERE file_id = id AND filename = $1", SDIST
    )
    before = await select_states(connection, acme)
    assert before == {WHEEL: RELEASED, SDIST: BLOCKED, LATER: HELD}
    await quarantine(connection, because(PROJECT))
    for version in ("1.0", "2.0"):
        assert (await settle(connection, ACME, version, WEEK)).held == ()
    assert await served(connection) == set()
    assert await select_states(connection, acme) == before
    await connection.execute("DELETE FROM outbox")
    await activate(connection, because(PROJECT))
    assert await served(connection) == {WHEEL}
    # The workflow of the held release ended with the quarantine; it begins again.
    assert await connection.fetchval("SELECT key FROM outbox") == "release_held/acme/2.0"
    assert (await decide(connection, CLI, Decision(Choice.APPROVE, ACME, "2.0", "fine"))).filenames == (LATER,)


async def test_a_quarantine_says_whose_it_is(connection: Connection, acme: NormalizedName) -> None:
    """Whoever is refused a file, or an approval, is told that the project is quarantined here."""
    await quarantine(connection, because(PROJECT, "stolen token"))
    policy, now = await load_policy(connection, await project_of(connection)), await projects.select_now(connection)
    item = (await select_files(connection, acme))[WHEEL]
    judged = verdict(item.file, item.standing, policy, now)
    assert (judged.state, judged.reason) == (BLOCKED, "the project is quarantined: stolen token")
    with pytest.raises(UsageError, match="koschey status acme active"):
        await decide(connection, CLI, Decision(Choice.APPROVE, ACME, "1.0", "why"))


# What all have in common

OPERATIONS: list[tuple[Operation, Scope]] = [
    (yank, RELEASE),
    (yank, FILE),
    (remove, FILE),
    (remove, RELEASE),
    (remove, PROJECT),
    (archive, PROJECT),
    (quarantine, PROJECT),
]


def named(value: object) -> str:
    return getattr(value, "__name__", None) or str(value)


@pytest.mark.parametrize(("operation", "scope"), OPERATIONS, ids=named)
async def test_twice_is_once(connection: Connection, acme: NormalizedName, operation: Operation, scope: Scope) -> None:
    """Doing the same again changes nothing, takes no serial, and says so."""
    first = await operation(connection, because(scope))
    again = await operation(connection, because(scope))
    assert first.changed
    assert again == HostedOutcome(first.serial, changed=False)
    assert str(again) == "nothing to change; this is already the case"
    assert await select_serial(connection) == first.serial


async def test_undoing_what_was_not_done(connection: Connection, acme: NormalizedName) -> None:
    """PortionTransaction back a yank that is not there, or activating what is active, changes nothing."""
    assert await unyank(connection, because(RELEASE)) == HostedOutcome(await select_serial(connection), changed=False)
    assert not (await activate(connection, because(PROJECT))).changed
    assert await journal(connection) == []


@pytest.mark.parametrize(("operation", "scope"), OPERATIONS, ids=named)
async def test_many_at_once_are_one(
    pool: Pool, connection: Connection, acme: NormalizedName, operation: Operation, scope: Scope
) -> None:
    """Of many who do the same at once one does it, and each file has one journal row."""

    async def run() -> HostedOutcome:
        async with pool.acquire() as own:
            return await operation(own, because(scope))

    outcomes = await asyncio.gather(*(run() for _ in range(8)))
    assert [outcome.changed for outcome in outcomes].count(True) == 1
    rows = [row[2] for row in await journal(connection)]
    assert len(rows) == len(set(rows)) == max(len(next(o for o in outcomes if o.changed).filenames), 1)


async def test_different_changes_at_once(pool: Pool, connection: Connection, acme: NormalizedName) -> None:
    """Yank, removal and status of one project at once wait for each other; none is lost and none is a deadlock."""

    async def run(operation: Operation, scope: Scope) -> HostedOutcome:
        async with pool.acquire() as own:
            return await operation(own, because(scope))

    await asyncio.gather(*(run(*each) for each in OPERATIONS * 3))
    assert set((await select_states(connection, acme)).values()) == {REMOVED}
    removals = [row[2] for row in await journal(connection) if row[0].startswith("remove")]
    assert sorted(removals) == sorted(ALL)
    serials = [row["serial"] for row in await connection.fetch("SELECT serial FROM journal ORDER BY serial")]
    assert serials == list(range(1, 1 + len(serials)))


@pytest.mark.parametrize(("operation", "scope"), [*OPERATIONS, (unyank, RELEASE)], ids=named)
async def test_a_mirrored_project_is_refused(connection: Connection, operation: Operation, scope: Scope) -> None:
    """What comes from an upstream is the upstream's to say; the refusal names what can be done instead."""
    await add_project(connection, "acme", [new_file(name, RELEASED) for name in ALL])
    with pytest.raises(UsageError, match=re.escape("acme is mirrored")) as refusal:
        await operation(connection, because(scope))
    blocked = f"{ACME}=={scope.version}" if scope.version else ACME
    assert f"koschey block '{blocked}' --reason" in str(refusal.value)
    assert set((await select_states(connection, ACME)).values()) == {RELEASED}
    assert await journal(connection) == []


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        (Scope(NormalizedName("none"), "1.0"), "no project none here"),
        (Scope(ACME, "3.0"), "no acme==3.0 here"),
        (Scope(ACME, None, "acme-3.0.zip"), "no acme-3.0.zip of acme here"),
        (Scope(ACME, "2.0", SDIST), f"no {SDIST} of acme==2.0 here"),
    ],
    ids=str,
)
@pytest.mark.parametrize("operation", [yank, unyank, remove], ids=named)
async def test_what_is_not_there(
    connection: Connection, acme: NormalizedName, operation: Operation, scope: Scope, words: str
) -> None:
    """A name, version or file that is not here is said to be so, and nothing happens."""
    with pytest.raises(NotKnown, match=re.escape(words)):
        await operation(connection, because(scope))
    assert await journal(connection) == []


@pytest.mark.parametrize("reason", ["", "  \n", "x" * 2001, "a\0b"], ids=["none", "blank", "long", "NUL"])
@pytest.mark.parametrize(("operation", "scope"), OPERATIONS, ids=named)
async def test_a_reason_is_asked_for(
    connection: Connection, acme: NormalizedName, operation: Operation, scope: Scope, reason: str
) -> None:
    """Nothing is changed without a reason that can be kept."""
    with pytest.raises(UsageError, match="give a reason"):
        await operation(connection, because(scope, reason))
    assert await journal(connection) == []


def matrix() -> Iterator[tuple[str, str, Operation, Scope, bool]]:
    """Every role, granted for this project, another and all, with every change."""
    allowed: dict[str, set[Operation]] = {role: set() for role in ("reader", "uploader", "reviewer", "auditor")}
    allowed |= {"maintainer": {yank, unyank}, "admin": {yank, unyank, remove, archive}}
    changes: list[tuple[Operation, Scope]] = [(yank, RELEASE), (unyank, RELEASE), (remove, FILE), (archive, PROJECT)]
    for role, may in allowed.items():
        for granted in ("acme", "*", "other"):
            for operation, scope in changes:
                yield role, granted, operation, scope, granted != "other" and operation in may


@pytest.mark.parametrize(("role", "granted", "operation", "scope", "allowed"), list(matrix()), ids=named)
async def test_who_may(
    connection: Connection,
    acme: NormalizedName,
    role: str,
    granted: str,
    operation: Operation,
    scope: Scope,
    allowed: bool,
) -> None:
    """A maintainer may yank, an admin may do all, a reviewer decides other things; each in the granted scope."""
    await insert_grant(connection, await upsert_account(connection, "bob", None), role, granted)
    change = because(scope, actor=Actor("bob", "api"))
    if allowed:
        await operation(connection, change)
        return
    with pytest.raises(NotAllowed, match="bob may not"):
        await operation(connection, change)
    assert await journal(connection) == []


async def test_a_door_without_an_account(connection: Connection, acme: NormalizedName) -> None:
    """Through every door but the command line an account that is not disabled is asked for."""
    await insert_grant(connection, await upsert_account(connection, "bob", None), "admin")
    await connection.execute("UPDATE account SET disabled_at = now()")
    for name in ("bob", "nobody"):
        with pytest.raises(NotAllowed, match="there is no account"):
            await remove(connection, replace(because(PROJECT), actor=Actor(name, "api")))
    assert await served(connection) == set(ALL)
