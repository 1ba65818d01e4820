"""Statements on the quarantine: pending releases, security fixes first, then in the order in which their windows end.

The first file of a release stands for it. So a list is a walk along the indexes `security_fix_first` and
`standing_pending`, which ends after the requested rows, however many releases are pending.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from packaging.utils import NormalizedName

from koschey.db.fast_lane import describe_fixes
from koschey.db.pool import Database
from koschey.db.search import contains
from koschey.model import MAIN_INDEX, FileId, ProjectId, State

DUE = "coalesce(standing.release_at, 'infinity'::timestamptz)"
"""When the window of a file ends; never if a reviewer decides. As in the index `standing_pending`."""
IS_PENDING = """
    standing.index_id = (SELECT id FROM index WHERE name = $1)
    AND standing.state IN ('held', 'conflict', 'malformed')
"""
# OFFSET 0 has PostgreSQL look for one file; it might plan a join with all pending files otherwise.
IS_FIRST = f"""
    file.set_aside_at IS NULL AND NOT EXISTS (
        SELECT FROM file AS other
          JOIN standing AS before ON before.index_id = standing.index_id AND before.file_id = other.id
         WHERE other.project_id = file.project_id AND other.version = file.version AND other.set_aside_at IS NULL
           AND before.state = standing.state
           AND (coalesce(before.release_at, 'infinity'), before.file_id) < ({DUE}, standing.file_id)
        OFFSET 0)
"""
AFTER = "(coalesce($2::timestamptz, 'infinity'), $3::bigint)"
FIRST = f"file.project_id, file.version, standing.index_id, standing.state, {DUE} AS due, standing.file_id"
ORDER = "due, file_id"
FILE = """
    CROSS JOIN LATERAL (SELECT * FROM file WHERE file.id = standing.file_id OFFSET 0) AS file
"""
"""Has PostgreSQL follow the index and look up each file; it might join all files first otherwise."""
STANDING = """
    CROSS JOIN LATERAL (
        SELECT * FROM standing WHERE standing.index_id = (SELECT id FROM index WHERE name = $1)
                                 AND standing.file_id = file.id
        OFFSET 0) AS standing
"""
DETAILS = """
    SELECT project.name AS project, page.version, page.state, whole.files,
           nullif(page.due, 'infinity') AS release_at, whole.first_seen_at, whole.reasons, first.reason, page.file_id,
           fix.fixes
      FROM page
      JOIN project ON project.id = page.project_id
      JOIN standing AS first ON first.index_id = page.index_id AND first.file_id = page.file_id
     CROSS JOIN LATERAL (
        SELECT count(*) AS files, min(file.first_seen_at) AS first_seen_at,
               array_agg(DISTINCT standing.reason ORDER BY standing.reason) AS reasons
          FROM file
          JOIN standing ON standing.index_id = page.index_id AND standing.file_id = file.id
         WHERE file.project_id = page.project_id AND file.version = page.version AND file.set_aside_at IS NULL
           AND standing.state = page.state
     ) AS whole
      LEFT JOIN security_fix AS fix
             ON fix.index_id = page.index_id AND fix.project_id = page.project_id AND fix.version = page.version
"""
IS_OTHER = """
    NOT EXISTS (SELECT FROM security_fix AS fix
                 WHERE fix.index_id = standing.index_id AND fix.project_id = file.project_id
                   AND fix.version = file.version
                OFFSET 0)
"""
# As many rows of `security_fix` are read as the answer, and the part before it, have releases.
FIXES = f"""
    SELECT {FIRST}, fix.downloads
      FROM security_fix AS fix
     CROSS JOIN LATERAL (SELECT * FROM file WHERE file.project_id = fix.project_id AND file.version = fix.version
                         OFFSET 0) AS file
    {STANDING}
     WHERE fix.index_id = (SELECT id FROM index WHERE name = $1) AND {IS_PENDING} AND {IS_FIRST}
       AND ($2::bigint[] IS NULL OR fix.project_id = ANY($2))
       AND ($3::text IS NULL OR EXISTS (SELECT FROM project WHERE project.id = fix.project_id AND name LIKE $3))
"""  # noqa: S608
SELECT_PENDING_FIXES = f"""
    WITH page AS MATERIALIZED (
        {FIXES} ORDER BY fix.downloads DESC, fix.project_id, fix.version, standing.state LIMIT $4 OFFSET $5
    )
    {DETAILS}
     ORDER BY page.downloads DESC, page.project_id, page.version, page.state
"""
COUNT_PENDING_FIXES = f"SELECT count(*) FROM ({FIXES}) AS first"  # noqa: S608
SELECT_PENDING = f"""
    WITH page AS MATERIALIZED (
        SELECT {FIRST} FROM standing {FILE}
         WHERE {IS_PENDING} AND {IS_OTHER} AND ({DUE}, standing.file_id) > {AFTER}
           AND ($4::text IS NULL OR EXISTS (SELECT FROM project WHERE project.id = file.project_id AND name LIKE $4))
           AND {IS_FIRST}
         ORDER BY {ORDER}
         LIMIT $5 OFFSET $6
    )
    {DETAILS}
     ORDER BY {ORDER}
"""  # noqa: S608
# The files of few projects are read first, and then put in order.
SELECT_PENDING_OF = f"""
    WITH found AS MATERIALIZED (
        SELECT {FIRST} FROM file {STANDING}
         WHERE file.project_id = ANY($4::bigint[]) AND {IS_PENDING} AND {IS_OTHER}
           AND ({DUE}, standing.file_id) > {AFTER} AND {IS_FIRST}
    ), page AS MATERIALIZED (
        SELECT * FROM found ORDER BY {ORDER} LIMIT $5 OFFSET $6
    )
    {DETAILS}
     ORDER BY {ORDER}
"""  # noqa: S608
COUNT_PENDING = f"""
    SELECT count(*) AS files, count(DISTINCT (project_id, version, state)) AS releases
      FROM (SELECT file.project_id, file.version, standing.state
              FROM standing {FILE}
             WHERE {IS_PENDING} AND file.set_aside_at IS NULL
               AND ($2::text IS NULL OR EXISTS (SELECT FROM project
                                                 WHERE project.id = file.project_id AND name LIKE $2))
             ORDER BY {DUE}, standing.file_id
             LIMIT $3) AS first
"""  # noqa: S608
COUNT_PENDING_OF = f"""
    SELECT count(*) AS files, count(DISTINCT (project_id, version, state)) AS releases
      FROM (SELECT file.project_id, file.version, standing.state
              FROM file {STANDING}
             WHERE file.project_id = ANY($2::bigint[]) AND {IS_PENDING} AND file.set_aside_at IS NULL
             LIMIT $3) AS first
"""  # noqa: S608
SELECT_IDS_LIKE = "SELECT id FROM project WHERE name LIKE $1 LIMIT $2"
SELECT_FILES = f"""
    SELECT DISTINCT project.name AS project, file.version, standing.state, file.filename, file.sha256,
           file.stored_at IS NOT NULL AS stored
      FROM unnest($2::text[], $3::text[]) AS wanted (project, version)
      JOIN project ON project.name = wanted.project
      JOIN file ON file.project_id = project.id AND file.version = wanted.version
      JOIN standing ON standing.file_id = file.id
     WHERE {IS_PENDING} AND file.set_aside_at IS NULL
     ORDER BY project.name, file.version, standing.state, file.filename
"""  # noqa: S608

PORTION = 500
"""Number of releases that are read at a time if there may be very many."""
COUNTED = 10_000
"""Maximum number of files that are counted for the number of releases."""
FEW = 2_000
"""Maximum number of projects whose files are read first; more projects have files everywhere in the list."""


class PendingRelease(NamedTuple):
    """The files of one release in the same state."""

    project: NormalizedName
    version: str
    state: State
    files: int
    release_at: datetime | None
    """When the window of the first of them ends; None if a reviewer must decide."""
    first_seen_at: datetime
    reasons: tuple[str, ...]
    reason: str
    """That of the first of them."""
    file: FileId
    """The first file whose window ends: the place of the release in the list."""
    fixes: str | None
    """The security fixes that the release contains, as text; None if it contains none."""


class Place(NamedTuple):
    """A place in the list: the next part begins after it."""

    release_at: datetime | None
    file: FileId


START = Place(datetime.min.replace(tzinfo=UTC), FileId(0))


class Wanted(NamedTuple):
    """Which pending releases; `choose` makes it."""

    pattern: str | None
    """Only of projects with these names, as for LIKE."""
    projects: Sequence[ProjectId] | None
    """The projects with these names, if they are few."""


class PendingFile(NamedTuple):
    """A file of a pending release."""

    filename: str
    sha256: str | None
    stored: bool


async def choose(db: Database, name_part: str | None) -> Wanted:
    """Find the projects whose names contain a text; all if it is empty."""
    if not name_part:
        return Wanted(None, None)
    pattern = contains(name_part)
    rows = await db.fetch(SELECT_IDS_LIKE, pattern, FEW + 1)
    return Wanted(pattern, [row["id"] for row in rows] if len(rows) <= FEW else None)


async def walk_pending(
    db: Database, wanted: Wanted, *, limit: int, offset: int = 0
) -> AsyncIterator[list[PendingRelease]]:
    """Yield the pending releases in portions: security fixes first, then those whose windows end first.

    A release whose place changes meanwhile may be listed twice, or be left out.
    """
    while limit > 0:
        found = await _select_fixes(db, wanted, limit=min(PORTION, limit), offset=offset)
        if not found:
            break
        yield found
        limit, offset = limit - len(found), offset + len(found)
    # Without an offset there are no fixes to skip.
    skipped = await _count_fixes(db, wanted) if limit > 0 and offset else 0
    offset, after = max(0, offset - skipped), START
    while limit > 0:
        found = await _select_others(db, wanted, after, limit=min(PORTION, limit), offset=offset)
        if not found:
            return
        yield found
        limit, offset, after = limit - len(found), 0, Place(found[-1].release_at, found[-1].file)


async def count_pending(db: Database, wanted: Wanted) -> tuple[int, bool]:
    """Return how many pending releases there are, and whether there are more: `COUNTED` files are counted."""
    few = wanted.projects is not None
    count, given = (COUNT_PENDING_OF, wanted.projects) if few else (COUNT_PENDING, wanted.pattern)
    row = await db.fetchrow(count, MAIN_INDEX, given, COUNTED + 1)
    return row["releases"], row["files"] > COUNTED


async def select_pending_files(
    db: Database, releases: Sequence[PendingRelease]
) -> dict[tuple[NormalizedName, str, State], list[PendingFile]]:
    """Return the files of pending releases, by project, version and state."""
    found: dict[tuple[NormalizedName, str, State], list[PendingFile]] = {}
    columns = _columns((each.project, each.version) for each in releases)
    for row in await db.fetch(SELECT_FILES, MAIN_INDEX, *columns):
        key = (row["project"], row["version"], State(row["state"]))
        found.setdefault(key, []).append(PendingFile(row["filename"], row["sha256"], row["stored"]))
    return found


async def _select_fixes(db: Database, wanted: Wanted, *, limit: int, offset: int) -> list[PendingRelease]:
    rows = await db.fetch(SELECT_PENDING_FIXES, MAIN_INDEX, wanted.projects, wanted.pattern, limit, offset)
    return [_read(row) for row in rows]


async def _count_fixes(db: Database, wanted: Wanted) -> int:
    return int(await db.fetchval(COUNT_PENDING_FIXES, MAIN_INDEX, wanted.projects, wanted.pattern))


async def _select_others(
    db: Database, wanted: Wanted, after: Place, *, limit: int, offset: int
) -> list[PendingRelease]:
    few = wanted.projects is not None
    select, which = (SELECT_PENDING_OF, wanted.projects) if few else (SELECT_PENDING, wanted.pattern)
    rows = await db.fetch(select, MAIN_INDEX, *after, which, limit, offset)
    return [_read(row) for row in rows]


def _columns(releases: Iterable[tuple[str, str]]) -> tuple[list[str], list[str]]:
    pairs = list(releases)
    return [project for project, _ in pairs], [version for _, version in pairs]


def _read(row: Any) -> PendingRelease:
    fixes = describe_fixes(row["fixes"]) if row["fixes"] else None
    return PendingRelease(*row)._replace(state=State(row["state"]), reasons=tuple(row["reasons"]), fixes=fixes)
