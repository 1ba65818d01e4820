"""Statements whose answer has a constant size read as many rows in a large index as in a small one.

PostgreSQL executes each on an index of some thousand projects, and tells how many rows of each table its plan read.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from koschey.db import (
    browse,
    changelog,
    checking,
    claims,
    fast_lane,
    feeds,
    impacts,
    pending,
    projects,
    requests,
    scopes,
    search,
    waiting,
)
from koschey.db.pool import Connection, connect
from koschey.model import MAIN_INDEX
from tests.support.postgres import MIGRATED, Postgres
from tests.support.scale import RARE, Shape, fill, find_ready_answers

PROJECTS = 4_000
SHAPE = Shape(versions=3, big=2, big_versions=500)
ALWAYS = timedelta(days=-1)
"""An age that every page has reached."""
GROWING = frozenset(
    {
        *("project", "file", "standing", "journal", "download", "check_run", "finding", "provenance", "attestation"),
        *("debut", "content", "decision", "outbox", "left_out_file", "forgotten_download", "alert", "advisory"),
        "security_fix",
    }
)
"""Tables that have more rows the more projects there are."""
CROWD = """
    INSERT INTO advisory (id, project, malicious, summary)
        SELECT 'PYSEC-2020-' || n, 'unknown-' || n, true, 'malware' FROM generate_series(1, 20000) AS n;
    INSERT INTO index (name) VALUES ('other');
    INSERT INTO security_fix (index_id, project_id, version, downloads, fixes)
        SELECT index.id, project.id, '1.' || n, n, '[]' FROM index, project, generate_series(1, 5) AS n
         WHERE index.name = 'other'
"""
"""Rows that no answer needs, in tables that have few others: PostgreSQL may well scan a table of one page."""
START = (pending.START.release_at, pending.START.file)
RARE_RULE = (MAIN_INDEX, ["corp-rare-*"], [""])
PER_PROJECT = 2 * SHAPE.versions
FIXES = PROJECTS // 50
"""Held security fixes: one of two projects with an advisory has a held release."""


class Fixed(NamedTuple):
    """A statement, its arguments, and how many rows of a table it may read."""

    statement: str
    values: tuple[object, ...]
    rows: int


STATEMENTS = {
    # Walks: a portion of them.
    "held files": Fixed(waiting.SELECT_HELD_FILES, (MAIN_INDEX, 0, 100), 100),
    "held files, late": Fixed(waiting.SELECT_HELD_FILES, (MAIN_INDEX, 20_000, 100), 100),
    "unchecked files": Fixed(waiting.SELECT_UNCHECKED, (list(range(1, 101)),), 600),
    "wanted projects": Fixed(waiting.UPDATE_WANTED, (timedelta(days=30), 2_000, 100), 100 * PER_PROJECT),
    "stale projects": Fixed(waiting.SELECT_STALE_PROJECTS, (ALWAYS, [], 50), 200),
    "no stale project": Fixed(waiting.SELECT_STALE_PROJECTS, (timedelta(days=1), [], 50), 0),
    "due re-checks": Fixed(projects.SELECT_RECHECKED, ([], 200), 0),
    # A rule: in proportion to what it covers.
    "held, by a rule": Fixed(scopes.SELECT_HELD_BY_PROJECT, RARE_RULE, RARE * PER_PROJECT),
    "held again": Fixed(scopes.INSERT_HELD_BY_PROJECT, (*RARE_RULE, {}), RARE * PER_PROJECT),
    "locked": Fixed(scopes.LOCK_PROJECTS, (list(range(1, 11)),), 10),
    "covered": Fixed(scopes.SELECT_COVERED_BY_PROJECT, (*RARE_RULE, ["held", "released"]), RARE * PER_PROJECT),
    "served": Fixed(impacts.COUNT_SERVED_COVERED, (*RARE_RULE, ["blocked"]), RARE * PER_PROJECT),
    "mirrored": Fixed(claims.SELECT_MIRRORED_COVERED, ("corp-rare-*", 10), RARE * PER_PROJECT),
    # Pages of the panel and the API.
    "quarantine": Fixed(pending.SELECT_PENDING, (MAIN_INDEX, *START, None, 50, 0), 400),
    "quarantine, page 5": Fixed(pending.SELECT_PENDING, (MAIN_INDEX, *START, None, 50, 200), 2_000),
    "quarantine, found": Fixed(pending.SELECT_PENDING_OF, (MAIN_INDEX, *START, [22, 24, 402], 50, 0), 100),
    "quarantine, fixes": Fixed(pending.SELECT_PENDING_FIXES, (MAIN_INDEX, None, None, 10, 0), 10 * PER_PROJECT),
    "quarantine, fixes found": Fixed(pending.SELECT_PENDING_FIXES, (MAIN_INDEX, [54], None, 10, 0), FIXES),
    "quarantine, number of fixes": Fixed(pending.COUNT_PENDING_FIXES, (MAIN_INDEX, None, None), FIXES * PER_PROJECT),
    "quarantine, number": Fixed(pending.COUNT_PENDING, (MAIN_INDEX, None, 500), 500),
    "quarantine, number found": Fixed(pending.COUNT_PENDING_OF, (MAIN_INDEX, [22, 24, 402], 500), 100),
    "quarantine, files": Fixed(pending.SELECT_FILES, (MAIN_INDEX, ["corp-rare-6"], ["1.2.0"]), 10),
    "requests": Fixed(requests.SELECT_REQUESTS, (MAIN_INDEX, 100), 100),
    "requests of a page": Fixed(requests.SELECT_REQUEST_COUNTS, (MAIN_INDEX, ["corp-rare-6"], ["1.2.0"]), 100),
    "journal": Fixed(browse.SELECT_JOURNAL, (None, 50), 50),
    "journal of a project": Fixed(browse.SELECT_PROJECT_JOURNAL, ("corp-rare-6", 50), 50),
    # The worker's search for security fixes: a portion of it.
    "projects with advisories": Fixed(fast_lane.SELECT_ADVISED, ("", 20), 20),
    "advisories of a project": Fixed(fast_lane.SELECT_CONCERNED, ("corp-rare-6",), 10),
    "held fixes": Fixed(fast_lane.SELECT_HELD, (MAIN_INDEX, ["corp-rare-6"]), PER_PROJECT),
    "downloaded versions": Fixed(fast_lane.SELECT_DOWNLOADED, (MAIN_INDEX, ["corp-rare-6"]), PER_PROJECT),
    "stored fixes": Fixed(fast_lane.SELECT_STORED_FIXES, (MAIN_INDEX, ["corp-rare-6"]), 10),
    "used names": Fixed(checking.SELECT_USED_NAMES, (MAIN_INDEX, 20), 40),
    "numbers of releases": Fixed(checking.UPDATE_RELEASES, (MAIN_INDEX, 2_000, 100), 100 * PER_PROJECT),
    "downloads of fixes": Fixed(fast_lane.SELECT_DOWNLOAD_COUNTS, (MAIN_INDEX, ["corp-rare-6"], ["1.0.0"]), 10),
    # Feeds, search, changelog.
    "newest projects": Fixed(feeds.SELECT_NEWEST_PROJECTS, (MAIN_INDEX, 40), 40 * PER_PROJECT),
    "newest releases": Fixed(feeds.SELECT_NEWEST_RELEASES, (MAIN_INDEX, 10, 100), 100 * PER_PROJECT),
    "served versions": Fixed(search.SELECT_SERVED_VERSIONS, (MAIN_INDEX, list(range(20, 70))), 50 * PER_PROJECT),
    "changelog": Fixed(changelog.SELECT_CHANGES, (MAIN_INDEX, 2_000, 100), 100),
}


@pytest.fixture(scope="module")
def large(postgres: Postgres) -> Iterator[str]:
    """The URL of a database with some thousand projects, whose rows PostgreSQL has counted."""
    with asyncio.Runner() as runner:
        name = runner.run(postgres.create(MIGRATED))
        runner.run(_fill(postgres.url(name)))
        yield postgres.url(name)
        runner.run(postgres.drop(name))


async def _fill(url: str) -> None:
    connection = await connect(url)
    try:
        await fill(connection, PROJECTS, SHAPE)
        await find_ready_answers(connection)
        await connection.execute(CROWD)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


async def explain(connection: Connection, fixed: Fixed) -> tuple[dict[str, int], list[str]]:
    """Execute a statement and take it back: the rows that it read of each table, and the tables that it scanned."""
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    transaction = connection.transaction()
    await transaction.start()
    try:
        rows = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {fixed.statement}", *fixed.values)
    finally:
        await transaction.rollback()
    read, scanned = dict[str, int](), list[str]()
    for node in _nodes(json.loads(rows)[0]["Plan"]):
        table, loops = node.get("Relation Name"), node["Actual Loops"]
        if table in GROWING and node["Node Type"] != "ModifyTable":
            dropped = sum(node.get(f"Rows Removed by {what}", 0) for what in ("Filter", "Index Recheck"))
            count = round((node["Actual Rows"] + dropped) * loops)
            read[table] = read.get(table, 0) + count
            if node["Node Type"] == "Seq Scan" and count:
                scanned.append(table)
    return read, scanned


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


@pytest.mark.parametrize("name", STATEMENTS)
async def test_no_table_that_grows_is_scanned(large: str, name: str) -> None:
    """No statement reads a whole table, or many more rows of one than its answer is made of."""
    connection = await connect(large)
    try:
        read, scanned = await explain(connection, STATEMENTS[name])
    finally:
        await connection.close()
    assert scanned == []
    assert {table: count for table, count in read.items() if count > 3 * STATEMENTS[name].rows + 10} == {}


@pytest.mark.parametrize(("scope", "covered"), [("corp-rare-*", RARE), ("corp-rare-6", 1), ("nothing-*", 0)])
async def test_scopes_find_projects_by_an_index(large: str, scope: str, covered: int) -> None:
    """The function `projects_in_scope` reads the projects that a scope covers, and no others."""
    connection = await connect(large)
    try:
        body = await connection.fetchval("SELECT prosrc FROM pg_proc WHERE proname = 'projects_in_scope'")
        statement = re.sub(r"\bscope\b", "$1::text", body)
        assert len(await connection.fetch(statement, scope)) == covered
        read, scanned = await explain(connection, Fixed(statement, (scope,), covered))
    finally:
        await connection.close()
    assert scanned == []
    assert read.get("project", 0) == covered


async def test_a_scan_is_found(large: str) -> None:
    """The test itself sees a statement that reads everything."""
    connection = await connect(large)
    try:
        every = Fixed("SELECT count(*) FROM project WHERE summary LIKE '%x%' AND $1 = 1", (1,), 1)
        read, scanned = await explain(connection, every)
        assert scanned == ["project"]
        assert read == {"project": PROJECTS}
    finally:
        await connection.close()
