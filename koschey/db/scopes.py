"""Statements on all files that the scopes of rules cover, in any project."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from packaging.utils import NormalizedName

from koschey.db.files import COLUMNS, TABLES, read_file
from koschey.db.outbox import NOTIFY
from koschey.db.pool import Connection, extend_limit
from koschey.db.projects import COLUMNS as PROJECT_COLUMNS
from koschey.db.projects import PORTION, read_project
from koschey.model import MAIN_INDEX, Project, StandingFile, State
from koschey.outbox import ReleaseHeld, render_message
from koschey.policy.rules import EVERYTHING, UPSTREAM, Rule

OWNER_COLUMNS = PROJECT_COLUMNS.split(", ")
OWNER = ", ".join(f"project.{name} AS owner_{name}" for name in OWNER_COLUMNS)
# The projects that rules cover are found by their names; they are few compared with all projects.
COVERED = """
    covered AS MATERIALIZED (
        SELECT project.id, project.name, array_agg(covering.version) AS versions
          FROM unnest($2::text[], $3::text[]) AS covering (scope, version)
         CROSS JOIN LATERAL projects_in_scope(covering.scope) AS project
         GROUP BY project.id, project.name
    )
"""
IN_VERSIONS = "('' = ANY(covered.versions) OR file.version = ANY(covered.versions))"
# A rule for everything covers more projects than there are files that are not released.
IS_COVERED = """
    EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS covering (scope, version)
             WHERE in_scope(covering.scope, project.name, project.origin)
               AND covering.version IN ('', file.version))
"""
HELD_BY_PROJECT = f"""
    WITH {COVERED}, held AS (
        SELECT covered.id AS project_id, covered.name AS project, file.version
          FROM covered
          JOIN file ON file.project_id = covered.id AND {IN_VERSIONS}
          JOIN standing ON standing.index_id = (SELECT id FROM index WHERE name = $1) AND standing.file_id = file.id
         WHERE standing.state = 'held'
    )
"""  # noqa: S608
HELD_BY_STATE = f"""
    WITH held AS (
        SELECT project.id AS project_id, project.name AS project, file.version
          FROM standing
          JOIN index ON index.id = standing.index_id AND index.name = $1
          JOIN file ON file.id = standing.file_id
          JOIN project ON project.id = file.project_id
         WHERE standing.state = 'held' AND {IS_COVERED}
    )
"""  # noqa: S608
SELECT_COVERED_BY_PROJECT = f"""
    WITH {COVERED}
    SELECT {OWNER}, {COLUMNS} FROM covered JOIN ({TABLES}) ON file.project_id = covered.id AND {IN_VERSIONS}
     WHERE standing.state = ANY($4::text[]) AND file.set_aside_at IS NULL
     ORDER BY project.name, file.id
"""  # noqa: S608
SELECT_COVERED_BY_STATE = f"""
    SELECT {OWNER}, {COLUMNS} FROM {TABLES}
     WHERE standing.state = ANY($4::text[]) AND file.set_aside_at IS NULL AND {IS_COVERED}
     ORDER BY project.name, file.id
"""  # noqa: S608
SELECT_HELD_BY_PROJECT = f"{HELD_BY_PROJECT} SELECT DISTINCT project_id FROM held"  # noqa: S608
SELECT_HELD_BY_STATE = f"{HELD_BY_STATE} SELECT DISTINCT project_id FROM held"  # noqa: S608
SELECT_NAMED = "SELECT id AS project_id FROM project WHERE name = ANY($1::text[])"
LOCK_PROJECTS = "SELECT id FROM project WHERE id = ANY($1::bigint[]) ORDER BY name FOR NO KEY UPDATE"
# The key and the payload are those of `ReleaseHeld` in koschey/outbox.py.
INSERT = """
    INSERT INTO outbox (key, kind, payload, due_at)
    SELECT release.key, 'release_held',
           $4::jsonb || jsonb_build_object('project', release.project, 'version', release.version), koschey_now()
      FROM (SELECT DISTINCT 'release_held/' || project || '/' || version AS key, project, version FROM held) AS release
     ORDER BY release.key COLLATE "C"
    ON CONFLICT (key) DO UPDATE SET payload = excluded.payload, due_at = least(outbox.due_at, excluded.due_at),
                                    revision = outbox.revision + 1
"""
INSERT_HELD_BY_PROJECT = HELD_BY_PROJECT + INSERT
INSERT_HELD_BY_STATE = HELD_BY_STATE + INSERT

RULE_TIMEOUT = 120.0
"""Maximum seconds for a statement on all that a rule covers, which may be the whole index."""


async def lock_covered(connection: Connection, rules: Sequence[Rule]) -> None:
    """Lock the projects that the rules name, and those with held files that the rules cover, against other writers.

    All transactions lock projects before anything else and in the same order, so no two of them can deadlock. From here
    on, statements of the transaction may take `RULE_TIMEOUT`.
    """
    await extend_limit(connection, RULE_TIMEOUT)
    held = SELECT_HELD_BY_STATE if _are_wide(rules) else SELECT_HELD_BY_PROJECT
    found = await connection.fetch(held, MAIN_INDEX, *_columns(rules), timeout=RULE_TIMEOUT)
    found += await connection.fetch(SELECT_NAMED, [rule.scope for rule in rules])
    # The projects are found first: a statement that finds and locks them would read all projects.
    await connection.execute(LOCK_PROJECTS, [row["project_id"] for row in found], timeout=RULE_TIMEOUT)


async def insert_held(connection: Connection, rules: Sequence[Rule]) -> int:
    """Have every release judged again that has held files which one of the rules covers. Returns how many."""
    _, _, payload = render_message(ReleaseHeld(NormalizedName(""), ""))
    insert = INSERT_HELD_BY_STATE if _are_wide(rules) else INSERT_HELD_BY_PROJECT
    done: str = await connection.execute(insert, MAIN_INDEX, *_columns(rules), payload, timeout=RULE_TIMEOUT)
    await connection.execute(NOTIFY)
    return int(done.rpartition(" ")[2])


async def stream_covered(
    connection: Connection, rules: Sequence[Rule], states: Iterable[State]
) -> AsyncIterator[tuple[Project, list[StandingFile]]]:
    """Yield the files in these states that one of the rules covers, by project. Needs a transaction."""
    select = SELECT_COVERED_BY_STATE if _are_wide(rules) else SELECT_COVERED_BY_PROJECT
    await extend_limit(connection, RULE_TIMEOUT)
    values = (*_columns(rules), list(states))
    cursor = connection.cursor(select, MAIN_INDEX, *values, prefetch=PORTION, timeout=RULE_TIMEOUT)
    waiting: list[Any] = []
    async for row in cursor:
        if waiting and waiting[0]["project"] != row["project"]:
            yield _read(waiting)
            waiting = []
        waiting.append(row)
    if waiting:
        yield _read(waiting)


def _read(rows: Sequence[Any]) -> tuple[Project, list[StandingFile]]:
    owner = read_project({name: rows[0][f"owner_{name}"] for name in OWNER_COLUMNS})
    files = [{name: value for name, value in row.items() if not name.startswith("owner_")} for row in rows]
    return owner, [read_file(file) for file in files]


def _are_wide(rules: Sequence[Rule]) -> bool:
    return any(rule.scope in (EVERYTHING, UPSTREAM) for rule in rules)


def _columns(rules: Sequence[Rule]) -> tuple[list[str], list[str]]:
    """Return the scopes and versions of the rules; only one of them if it covers everything."""
    everything = [rule for rule in rules if rule.scope == EVERYTHING and rule.version is None]
    scopes = dict.fromkeys((rule.scope, rule.version or "") for rule in everything[:1] or rules)
    return [scope for scope, _ in scopes], [version for _, version in scopes]
