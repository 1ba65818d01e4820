"""What is served, as PostgreSQL knows it: the same as the verdict says. And the lists over many projects."""

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest
from packaging.utils import NormalizedName

from koschey.db import changelog, feeds, files, journal, projects, search, standings
from koschey.db.downloads import NewDownload, record_downloads
from koschey.db.journal import Entry
from koschey.db.policies import load_policy
from koschey.db.pool import Connection, Pool
from koschey.db.rules import upsert_rule, write_rule
from koschey.events import Event
from koschey.model import MAIN_INDEX, SYSTEM, FileId, Origin, ProjectStatus, State
from koschey.policy.rules import FLAGS, Rule, RuleKind
from koschey.policy.verdict import verdict
from koschey.standards.changelog import Row, render_change
from tests.support.postgres import set_clock
from tests.support.rows import A_TEST, NOON, add_project, digest_of, new_file

BREADTHS = {
    "the project": "{}",
    "all such names": "{}-*",
    "the upstream": "@upstream",
    "everything": "*",
    "names that go on": "{}-more-*",
}
DECIDING = (RuleKind.BLOCKED, RuleKind.RESERVED, RuleKind.OBSERVED)
"""Kinds of rules that change what is served, at every breadth."""
WITHOUT_EFFECT = sorted(FLAGS - set(DECIDING))
"""Kinds that change what becomes of files, and not what is served now."""
VERSIONS = {"of the version": "1.0", "of another version": "1.1"}
LATER, BEFORE = NOON + timedelta(days=1), NOON
RULES: dict[str, Rule | None] = {
    "nothing": None,
    **{f"{kind} of everything": Rule(kind, None, "why", "ada", "*") for kind in WITHOUT_EFFECT},
    **{
        f"{kind} of {breadth}": Rule(kind, None, "why", "ada", scope)
        for kind, (breadth, scope) in product(DECIDING, BREADTHS.items())
    },
    **{
        f"{kind} of {breadth}, {what}": Rule(kind, None, "why", "ada", BREADTHS[breadth], expires_at=ends)
        for kind, (breadth, what, ends) in product(
            DECIDING, [("the project", "ended", BEFORE), ("everything", "ended", BEFORE), ("everything", "yet", LATER)]
        )
    },
    **{
        f"{kind} {what}": Rule(kind, version, "why", "ada", "{}")
        for kind, (what, version) in product((RuleKind.BLOCKED, RuleKind.OBSERVED), VERSIONS.items())
    },
    **{
        f"an exception {what}": Rule(RuleKind.EXCEPTION, version, "why", "ada", "{}", file, value, expires_at=ends)
        for what, version, file, value, ends in (
            ("for these bytes", "1.0", "{}-1.0-py3-none-any.whl", "{}", LATER),
            ("for other bytes", "1.0", "{}-1.0-py3-none-any.whl", "0" * 64, LATER),
            ("for another file", "1.0", "{}-1.0.tar.gz", "{}", LATER),
            ("for another version", "1.1", "{}-1.0-py3-none-any.whl", "{}", LATER),
            ("that has ended", "1.0", "{}-1.0-py3-none-any.whl", "{}", BEFORE),
        )
    },
}
CHANGES = {
    "as it is": "",
    "yanked": "yanked = 'broken'",
    "taken away": "absent_since = koschey_now()",
    "missing for now": "absent_since = koschey_now(), absence_due_at = koschey_now()",
    "not fetched": "",
}
"""What else could be so of a file."""


async def add_hosted(connection: Connection, name: str, state: State) -> NormalizedName:
    """Add a hosted project with one file."""
    project = NormalizedName(name)
    await projects.insert_project(connection, project, name, Origin.HOSTED)
    found = await projects.select_project(connection, project)
    assert found is not None
    await files.insert_files(connection, found.id, [new_file(f"{name}-1.0-py3-none-any.whl", state)])
    return project


async def add(connection: Connection, name: str, *versions: str, state: State = State.RELEASED) -> NormalizedName:
    """Add a mirrored project with one wheel for each version."""
    return await add_project(
        connection, name, [new_file(f"{name}-{version}-py3-none-any.whl", state) for version in versions]
    )


async def served_of(connection: Connection, project: NormalizedName) -> set[str]:
    """Return the names of a project's files that the view has."""
    rows = await connection.fetch("SELECT filename FROM served_file WHERE project = $1", project)
    return {row["filename"] for row in rows}


async def put_rule(connection: Connection, rule: Rule, project: NormalizedName) -> None:
    """Put the rule in force that the table means for a project."""
    filename = rule.subject.format(project)
    value = digest_of(filename) if rule.value == "{}" else rule.value
    await write_rule(connection, replace(rule, scope=rule.scope.format(project), subject=filename, value=value))


@pytest.mark.parametrize("rule", RULES)
async def test_view_is_the_verdict(connection: Connection, rule: str) -> None:
    """For every state, origin and status, and files of every kind, the view has what the verdict serves.

    And only downloads of these files are recorded.
    """
    await set_clock(connection, NOON)
    expected, found, recorded = {}, {}, {}
    combinations = product(State, Origin, ProjectStatus, CHANGES)
    for number, (state, origin, status, change) in enumerate(combinations):
        if status is not ProjectStatus.ACTIVE and change != "as it is":
            continue
        project = NormalizedName(f"p{number}")
        await add_file(connection, project, origin, state, change)
        await connection.execute(
            "UPDATE project SET status = $2, looked_at = $3 WHERE name = $1", project, status, NOON
        )
        if given := RULES[rule]:
            await put_rule(connection, given, project)
        row = await projects.select_project(connection, project)
        assert row is not None
        policy = await load_policy(connection, row)
        (item,) = await files.select_project_files(connection, project)
        case = (state, origin, status, change)
        expected[case] = verdict(item.file, item.standing, policy, NOON).served
        # And without the checks, as pages ask.
        assert expected[case] == verdict(item.file, item.standing, replace(policy, checks=()), NOON).served
        found[case] = bool(await served_of(connection, project))
        recorded[case] = bool(await record_downloads(connection, [NewDownload(item.file.id, None, None, None, None)]))
    assert found == expected
    assert recorded == expected
    assert any(found.values()) is not closes_all(RULES[rule])
    held = any(served for (state, *_), served in found.items() if state is State.HELD)
    assert held is serves_held(rule)


async def add_file(connection: Connection, project: NormalizedName, origin: Origin, state: State, change: str) -> None:
    """Add a project with one file whose window has ended."""
    await projects.insert_project(connection, project, project, origin)
    found = await projects.select_project(connection, project)
    assert found is not None
    filename = f"{project}-1.0-py3-none-any.whl"
    known = {"sha256": None} if change == "not fetched" else {}
    new = new_file(filename, state, release_at=NOON - timedelta(days=1), **known)
    (added,) = await files.insert_files(connection, found.id, [new])
    if CHANGES[change]:
        await connection.execute(f"UPDATE file SET {CHANGES[change]} WHERE id = $1", added)  # noqa: S608


def closes_all(rule: Rule | None) -> bool:
    """Whether a rule leaves nothing to be served of any project, hosted or mirrored."""
    if rule is None or rule.kind is not RuleKind.BLOCKED or rule.expires_at == BEFORE:
        return False
    return rule.version != "1.1" and rule.scope in ("{}", "{}-*", "*")


def serves_held(rule: str) -> bool:
    """Whether a rule of the table serves anything that is held."""
    if rule == "an exception for these bytes":
        return True
    given = RULES[rule]
    if given is None or given.kind is not RuleKind.OBSERVED or given.expires_at == BEFORE:
        return False
    return given.version != "1.1" and given.scope != "{}-more-*"


async def test_pattern_covers_names_that_begin_so(connection: Connection) -> None:
    """`acme-*` covers acme and acme-tools, not acmetools; a hosted project keeps its files."""
    for name in ("acme", "acme-tools", "acmetools"):
        await add(connection, name, state=State.RELEASED)
        found = await projects.select_project(connection, NormalizedName(name))
        assert found is not None
        wheel = f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
        await files.insert_files(
            connection,
            found.id,
            [new_file("x-1.0-py3-none-any.whl", State.RELEASED)._replace(filename=wheel, path=f"/packages/{name}")],
        )
    await add_hosted(connection, "acme-own".replace("-", ""), State.RELEASED)
    await upsert_rule(connection, RuleKind.RESERVED, "acme-*", None, "ours", SYSTEM)
    rows = await connection.fetch("SELECT project FROM served_file ORDER BY project")
    assert [row["project"] for row in rows] == ["acmeown", "acmetools"]


async def test_newest_projects_by_when_they_were_first_served(connection: Connection) -> None:
    """A project is as new as its first served file; one that was held is new when it is let out, and only then."""
    await set_clock(connection, NOON)
    await add(connection, "first", "1.0")
    held = await add(connection, "held", "1.0", state=State.HELD)
    await set_clock(connection, NOON + timedelta(hours=1))
    await add(connection, "second", "1.0")
    assert [each.project for each in await feeds.select_newest_projects(connection, limit=9)] == ["second", "first"]
    await set_clock(connection, NOON + timedelta(hours=2))
    (item,) = await files.select_project_files(connection, held)
    await standings.update_states(connection, [item.file.id], State.RELEASED, A_TEST)
    await set_clock(connection, NOON + timedelta(hours=3))
    first = await projects.select_project(connection, NormalizedName("first"))
    assert first is not None
    await files.insert_files(connection, first.id, [new_file("first-1.1-py3-none-any.whl", State.RELEASED)])
    newest = await feeds.select_newest_projects(connection, limit=9)
    assert [each.project for each in newest] == ["held", "second", "first"]
    assert [each.at - NOON for each in newest] == [timedelta(hours=hours) for hours in (2, 1, 0)]
    assert len(await feeds.select_newest_projects(connection, limit=2)) == 2
    await standings.update_states(connection, [item.file.id], State.BLOCKED, A_TEST)
    assert [each.project for each in await feeds.select_newest_projects(connection, limit=9)] == ["second", "first"]


async def test_newest_releases_are_not_those_with_a_late_file(connection: Connection) -> None:
    """A release is as new as its first served file, and what is not served is not there."""
    await set_clock(connection, NOON)
    old = await add(connection, "old", "1.0")
    await set_clock(connection, NOON + timedelta(hours=1))
    await add(connection, "new", "1.0", "2.0")
    await add(connection, "held", "1.0", state=State.HELD)
    await set_clock(connection, NOON + timedelta(hours=2))
    found = await projects.select_project(connection, old)
    assert found is not None
    await files.insert_files(connection, found.id, [new_file("old-1.0-py2-none-any.whl", State.RELEASED)])
    newest = await feeds.select_newest_releases(connection, limit=9)
    assert [(each.project, each.version) for each in newest] == [("new", "1.0"), ("new", "2.0"), ("old", "1.0")]
    await upsert_rule(connection, RuleKind.BLOCKED, "new", "2.0", "a test", SYSTEM)
    assert [each.version for each in await feeds.select_newest_releases(connection, limit=9)] == ["1.0", "1.0"]


async def test_sizes_are_of_served_files(pool: Pool, connection: Connection) -> None:
    """The sum is over what is served; the largest come first, and an empty index has none."""
    assert await feeds.select_sizes(pool, limit=9) == ({}, 0)
    await add(connection, "large", "1.0", "1.1", "1.2")
    await add(connection, "small", "1.0")
    await add(connection, "held", "1.0", state=State.HELD)
    assert await feeds.select_sizes(pool, limit=9) == ({"large": 3000, "small": 1000}, 4000)
    assert await feeds.select_sizes(pool, limit=1) == ({"large": 3000}, 4000)
    await upsert_rule(connection, RuleKind.BLOCKED, "large", None, "a test", SYSTEM)
    assert await feeds.select_sizes(pool, limit=9) == ({"small": 1000}, 1000)


async def names_found(connection: Connection, *names: str, summaries: tuple[str, ...] = (), every: bool) -> list[str]:
    """Return the names that a search finds, served or not."""
    return [match.name for match in await search.select_matching(connection, names, summaries, every=every, limit=9)]


async def test_search_ranks_the_exact_name_first(connection: Connection) -> None:
    """The name itself, then names that have it in them, the short ones first, then what only a summary names."""
    for name in ("django-spam", "spam-and-more", "spam", "eggs"):
        await add_project(connection, name)
    await projects.update_summary(connection, NormalizedName("eggs"), "Better than SPAM")
    found = await names_found(connection, "spam", summaries=("spam",), every=False)
    assert found == ["spam", "django-spam", "spam-and-more", "eggs"]
    assert await names_found(connection, "spam", summaries=("spam",), every=True) == []
    assert await names_found(connection, summaries=("better", "spam"), every=True) == ["eggs"]
    assert await names_found(connection, "spam", "more", every=True) == ["spam-and-more"]


@pytest.mark.parametrize("text", ["%", "_", "\\", "'", "x%", "%%%%%%%%%%%%%%%%%%%%a", "'; DROP TABLE project; --"])
async def test_search_takes_wildcards_for_what_they_are(connection: Connection, text: str) -> None:
    """No sign of LIKE or SQL means anything but itself."""
    await add_project(connection, "spam")
    await projects.update_summary(connection, NormalizedName("spam"), "plain words")
    for every in (False, True):
        assert await names_found(connection, text, summaries=(text,), every=every) == []
    await projects.update_summary(connection, NormalizedName("spam"), f"with {text} in it")
    assert await names_found(connection, summaries=(text,), every=True) == ["spam"]


async def test_versions_are_those_that_are_served(connection: Connection) -> None:
    """Only served versions count; a version is yanked when all of its files are."""
    project = await add(connection, "spam", "1.0", "2.0", "3.0")
    known = {item.file.version: item.file.id for item in await files.select_project_files(connection, project)}
    await files.update_yanked(connection, [known["2.0"]], "broken")
    await standings.update_states(connection, [known["3.0"]], State.BLOCKED, A_TEST)
    found = await projects.select_project(connection, project)
    assert found is not None
    assert await search.select_served_versions(connection, [found.id]) == {found.id: {"1.0": False, "2.0": True}}


async def rows(connection: Connection, since: int = 0, limit: int = 99) -> list[Row]:
    """Return the changelog."""
    return [render_change(change) for change in await changelog.select_changes(connection, since, limit=limit)]


async def test_changelog_has_every_serial_and_names_only_what_is_served(connection: Connection) -> None:
    """Each change is a row; a file that is held, blocked or removed is in none of them, whenever it was served."""
    await set_clock(connection, NOON)
    project = await add(connection, "spam", "1.0", "2.0")
    entries = [Entry(version, f"spam-{version}-py3-none-any.whl", {"state": "released"}) for version in ("1.0", "2.0")]
    await journal.insert_entries(connection, SYSTEM, Event.ADD_FILE, project, entries)
    await journal.insert_entries(connection, SYSTEM, Event.BLOCK, NormalizedName("unknown-here"), [Entry("6.6")])
    seconds = int(NOON.timestamp())
    first, second = "add py3 file spam-1.0-py3-none-any.whl", "add py3 file spam-2.0-py3-none-any.whl"
    assert await rows(connection) == [
        ("spam", "1.0", seconds, first, 1),
        ("spam", "2.0", seconds, second, 2),
        ("", None, seconds, "release quarantined", 3),
    ]
    blocked: FileId = await connection.fetchval("SELECT id FROM file WHERE version = '2.0'")
    await standings.update_states(connection, [blocked], State.BLOCKED, A_TEST)
    await journal.insert_entries(connection, SYSTEM, Event.BLOCKED, project, [entries[1]])
    assert [(row[1], row[3], row[4]) for row in await rows(connection)] == [
        ("1.0", first, 1),
        (None, "update", 2),
        (None, "release quarantined", 3),
        (None, "release quarantined", 4),
    ]
    assert [row[4] for row in await rows(connection, 1, 2)] == [2, 3]
    assert await rows(connection, await journal.select_serial(connection)) == []


@pytest.mark.parametrize(
    ("statement", "arguments", "index"),
    [
        (feeds.SELECT_NEWEST_PROJECTS, (MAIN_INDEX, 40), "debut_newest"),
        (feeds.SELECT_NEWEST_RELEASES, (MAIN_INDEX, 100, feeds.WINDOW), "standing_newest"),
        (changelog.SELECT_CHANGES, (MAIN_INDEX, 7, 50_000), "journal_pkey"),
    ],
    ids=["projects", "releases", "changes"],
)
async def test_lists_are_read_by_an_index(
    connection: Connection, statement: str, arguments: tuple[object, ...], index: str
) -> None:
    """No list has to sort all projects or files: an index has them in its order."""
    for name in ("spam", "eggs"):
        await add(connection, name, *(f"1.{number}" for number in range(300)))
    async with connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; ANALYZE")
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {statement}", *arguments))
    assert f"using {index}" in plan, plan
