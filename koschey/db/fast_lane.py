"""Statements on held security fixes: versions that fix an advisory about a version which clients downloaded here."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from packaging.utils import NormalizedName

from koschey.db.advisories import COLUMNS, read_advisory
from koschey.db.pool import Connection, Database
from koschey.events import Event
from koschey.model import MAIN_INDEX, Advisory, ProjectId
from koschey.policy.advisories import fixes
from koschey.standards.versions import version_key

# A walk through all projects with advisories, in the order of their names.
SELECT_ADVISED = """
    SELECT advised.name, project.id IS NOT NULL AS is_known
      FROM (SELECT DISTINCT project AS name FROM advisory WHERE project > $1 ORDER BY project LIMIT $2) AS advised
      LEFT JOIN LATERAL (SELECT id FROM project WHERE project.name = advised.name OFFSET 0) AS project ON true
     ORDER BY advised.name
"""
SELECT_CONCERNED = """
    SELECT EXISTS (SELECT FROM advisory WHERE advisory.project = $1 AND withdrawn_at IS NULL)
        OR EXISTS (SELECT FROM security_fix JOIN project ON project.id = security_fix.project_id
                    WHERE project.name = $1)
"""
SELECT_HELD = """
    SELECT DISTINCT project.name, file.version
      FROM unnest($2::text[]) AS wanted (name)
     CROSS JOIN LATERAL (SELECT id, name FROM project
                          WHERE project.name = wanted.name AND project.origin = 'mirrored' OFFSET 0) AS project
     CROSS JOIN LATERAL (SELECT id, version FROM file
                          WHERE file.project_id = project.id AND file.yanked IS NULL AND file.absent_since IS NULL
                         OFFSET 0) AS file
     WHERE EXISTS (SELECT FROM standing
                    WHERE standing.index_id = (SELECT id FROM index WHERE name = $1)
                      AND standing.file_id = file.id AND standing.state = 'held' OFFSET 0)
     ORDER BY project.name, file.version
"""
SELECT_DOWNLOADED = """
    SELECT DISTINCT project.name, file.version
      FROM unnest($2::text[]) AS wanted (name)
     CROSS JOIN LATERAL (SELECT id, name FROM project WHERE project.name = wanted.name OFFSET 0) AS project
     CROSS JOIN LATERAL (SELECT id, version FROM file WHERE file.project_id = project.id OFFSET 0) AS file
     WHERE EXISTS (SELECT FROM download
                    WHERE download.index_id = (SELECT id FROM index WHERE name = $1)
                      AND download.file_id = file.id OFFSET 0)
"""
SELECT_DOWNLOAD_COUNTS = """
    SELECT project.name, file.version, count(*) AS downloads
      FROM unnest($2::text[], $3::text[]) AS wanted (project, version)
      JOIN project ON project.name = wanted.project
      JOIN file ON file.project_id = project.id AND file.version = wanted.version
      JOIN download ON download.file_id = file.id
      JOIN index ON index.id = download.index_id AND index.name = $1
     GROUP BY project.name, file.version
"""
SELECT_ABOUT = f"""
    SELECT {COLUMNS} FROM advisory WHERE project = ANY($1::text[]) AND withdrawn_at IS NULL ORDER BY id
"""  # noqa: S608
SELECT_STORED_FIXES = """
    SELECT project.name, fix.version, fix.fixes
      FROM unnest($2::text[]) AS wanted (name)
      JOIN project ON project.name = wanted.name
      JOIN security_fix AS fix ON fix.project_id = project.id AND fix.index_id = (SELECT id FROM index WHERE name = $1)
"""
REPLACE_FIXES = """
    WITH deleted AS (
        DELETE FROM security_fix
         WHERE index_id = (SELECT id FROM index WHERE name = $1) AND project_id = $2 AND version <> ALL ($3::text[])
    )
    INSERT INTO security_fix (index_id, project_id, version, downloads, fixes)
    SELECT (SELECT id FROM index WHERE name = $1), $2, row.version, row.downloads, row.fixes -> 'all'
      FROM unnest($3::text[], $4::bigint[], $5::jsonb[]) AS row (version, downloads, fixes)
    ON CONFLICT (index_id, project_id, version) DO UPDATE SET downloads = excluded.downloads, fixes = excluded.fixes
"""
SELECT_RECORDED_FIXES = """
    SELECT detail ->> 'advisory' AS advisory FROM journal
     WHERE project = $1 AND version = $2 AND action = $3
"""


class FastLane(NamedTuple):
    """A held version that fixes an advisory about versions which clients downloaded here."""

    project: NormalizedName
    version: str
    advisory: str
    summary: str
    fixes: tuple[str, ...]
    """The affected versions that clients downloaded here, the oldest first."""
    downloads: int
    """How often clients downloaded these versions."""


type Stored = Mapping[str, list[dict[str, Any]]]
"""What is stored of the fixes of one project: by version, the column `fixes` of `security_fix`."""


class Advised(NamedTuple):
    """A part of the projects with advisories."""

    names: list[NormalizedName]
    """Those that this index knows."""
    last: str
    """The name after which the next part begins; empty at the end."""


async def select_advised(db: Database, after: str, limit: int) -> Advised:
    """Return the known ones of the next projects with advisories, withdrawn ones too, in the order of their names."""
    rows = await db.fetch(SELECT_ADVISED, after, limit)
    return Advised([row["name"] for row in rows if row["is_known"]], rows[-1]["name"] if len(rows) == limit else "")


async def is_concerned(db: Database, project: NormalizedName) -> bool:
    """Return whether there are advisories about a project, or stored fixes of it."""
    return bool(await db.fetchval(SELECT_CONCERNED, project))


async def find_fixes(db: Database, projects: Sequence[NormalizedName]) -> list[FastLane]:
    """Find the held security fixes of some projects; those of the most downloaded versions first."""
    held = [(row["name"], row["version"]) for row in await db.fetch(SELECT_HELD, MAIN_INDEX, projects)]
    names = sorted({name for name, _ in held})
    if not names:
        return []
    downloaded: dict[str, list[str]] = defaultdict(list)
    about: dict[str, list[Advisory]] = defaultdict(list)
    for row in await db.fetch(SELECT_DOWNLOADED, MAIN_INDEX, names):
        downloaded[row["name"]].append(row["version"])
    for row in await db.fetch(SELECT_ABOUT, names):
        about[row["project"]].append(read_advisory(row))
    found = [
        (name, version, advisory, tuple(sorted(fixed, key=version_key)))
        for name, version in held
        for advisory in about[name]
        if (fixed := [had for had in downloaded[name] if fixes(advisory, had, version)])
    ]
    # Only the downloads of affected versions are counted: an index has many of all others.
    counts = await _count_downloads(db, {(name, had) for name, _, _, fixed in found for had in fixed})
    lane = [
        FastLane(name, version, advisory.id, advisory.summary, fixed, sum(counts[name, had] for had in fixed))
        for name, version, advisory, fixed in found
    ]
    return sorted(lane, key=lambda fix: (-fix.downloads, fix.project, fix.version, fix.advisory))


async def _count_downloads(db: Database, releases: Collection[tuple[NormalizedName, str]]) -> Counter[tuple[str, str]]:
    columns = [project for project, _ in releases], [version for _, version in releases]
    rows = await db.fetch(SELECT_DOWNLOAD_COUNTS, MAIN_INDEX, *columns) if releases else []
    return Counter({(row["name"], row["version"]): row["downloads"] for row in rows})


async def select_stored_fixes(db: Database, projects: Sequence[NormalizedName]) -> dict[NormalizedName, Stored]:
    """Return what is stored of the fixes of some projects; projects without any are missing."""
    found: dict[NormalizedName, dict[str, list[dict[str, Any]]]] = defaultdict(dict)
    for row in await db.fetch(SELECT_STORED_FIXES, MAIN_INDEX, projects):
        found[row["name"]][row["version"]] = row["fixes"]
    return dict(found)


def to_stored(found: Iterable[FastLane]) -> dict[NormalizedName, Stored]:
    """Return fixes in the form in which they are stored. Their order is kept."""
    stored: dict[NormalizedName, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for fix in found:
        item = {"advisory": fix.advisory, "versions": list(fix.fixes), "downloads": fix.downloads}
        stored[fix.project][fix.version].append(item)
    return {project: dict(versions) for project, versions in stored.items()}


async def replace_fixes(connection: Connection, project: ProjectId, stored: Stored) -> None:
    """Store the fixes of a project in place of those found earlier. The caller has locked the project."""
    versions = sorted(stored)
    downloads = [max(item["downloads"] for item in stored[version]) for version in versions]
    # asyncpg would encode lists within a column's list as an array of more dimensions.
    items = [{"all": stored[version]} for version in versions]
    await connection.execute(REPLACE_FIXES, MAIN_INDEX, project, versions, downloads, items)


def describe_fixes(stored: Sequence[Mapping[str, Any]]) -> str:
    """Return the text that says what a release fixes, from the column `fixes` of `security_fix`."""
    return "; ".join(_describe(item["advisory"], item["versions"], item["downloads"]) for item in stored)


def _describe(advisory: str, versions: Sequence[str], downloads: int) -> str:
    times = "once" if downloads == 1 else f"{downloads} times"
    return f"fixes {advisory} in {', '.join(versions)}, downloaded here {times}"


async def select_recorded_fixes(connection: Connection, project: NormalizedName, version: str) -> set[str]:
    """Return the ids of the advisories for which the journal already says that this version fixes them."""
    return {
        row["advisory"]
        for row in await connection.fetch(SELECT_RECORDED_FIXES, project, version, Event.SECURITY_FIX_WAITS)
    }
