"""Statements on all files that the scopes of rules cover, in any project."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from packaging.utils import NormalizedName

from koschey.db.files import COLUMNS, TABLES, read_file
from koschey.db.outbox import NOTIFY
from koschey.db.pool import Connection
from koschey.db.projects import COLUMNS as PROJECT_COLUMNS
from koschey.db.projects import PORTION, read_project
from koschey.model import MAIN_INDEX, Project, StandingFile, State
from koschey.outbox import ReleaseHeld, render_message
from koschey.policy.rules import Rule

OWNER_COLUMNS = PROJECT_COLUMNS.split(", ")
OWNER = ", ".join(f"project.{name} AS owner_{name}" for name in OWNER_COLUMNS)
COVERED = """
    EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS covering (scope, version)
             WHERE in_scope(covering.scope, project.name, project.origin)
               AND covering.version IN ('', file.version))
"""
SELECT_COVERED = f"""
    SELECT {OWNER}, {COLUMNS} FROM {TABLES}
     WHERE standing.state = ANY($4::text[]) AND file.set_aside_at IS NULL AND {COVERED}
     ORDER BY project.name, file.id
"""  # noqa: S608
LOCK_COVERED = f"""
    SELECT project.id FROM project
     WHERE project.name = ANY($2::text[])
        OR EXISTS (SELECT FROM file
                     JOIN index ON index.name = $1
                     JOIN standing ON standing.index_id = index.id AND standing.file_id = file.id
                    WHERE file.project_id = project.id AND standing.state = 'held' AND {COVERED})
     ORDER BY project.name
       FOR NO KEY UPDATE
"""  # noqa: S608
# The key and the payload are those of `ReleaseHeld` in koschey/outbox.py.
INSERT_HELD = f"""
    INSERT INTO outbox (key, kind, payload, due_at)
    SELECT 'release_held/' || project.name || '/' || file.version, 'release_held',
           $4::jsonb || jsonb_build_object('project', project.name, 'version', file.version), koschey_now()
      FROM file
      JOIN project ON project.id = file.project_id
      JOIN index ON index.name = $1
      JOIN standing ON standing.index_id = index.id AND standing.file_id = file.id
     WHERE standing.state = 'held' AND {COVERED}
     GROUP BY project.name, file.version
     ORDER BY project.name, file.version
    ON CONFLICT (key) DO UPDATE SET payload = excluded.payload, due_at = least(outbox.due_at, excluded.due_at),
                                    revision = outbox.revision + 1
"""  # noqa: S608


async def lock_covered(connection: Connection, rules: Sequence[Rule]) -> None:
    """Lock the projects that the rules name, and those with held files that the rules cover, against other writers.

    All transactions lock projects before anything else and in the same order, so no two of them can deadlock.
    """
    await connection.execute(LOCK_COVERED, MAIN_INDEX, *_columns(rules))


async def insert_held(connection: Connection, rules: Sequence[Rule]) -> int:
    """Have every release judged again that has held files which one of the rules covers. Returns how many."""
    _, _, payload = render_message(ReleaseHeld(NormalizedName(""), ""))
    done: str = await connection.execute(INSERT_HELD, MAIN_INDEX, *_columns(rules), payload)
    await connection.execute(NOTIFY)
    return int(done.rpartition(" ")[2])


async def stream_covered(
    connection: Connection, rules: Sequence[Rule], states: Iterable[State]
) -> AsyncIterator[tuple[Project, list[StandingFile]]]:
    """Yield the files in these states that one of the rules covers, by project. Needs a transaction."""
    cursor = connection.cursor(SELECT_COVERED, MAIN_INDEX, *_columns(rules), list(states), prefetch=PORTION)
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


def _columns(rules: Sequence[Rule]) -> tuple[list[str], list[str]]:
    return [rule.scope for rule in rules], [rule.version or "" for rule in rules]
