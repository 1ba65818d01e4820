"""Statements on held security fixes: versions that fix an advisory about a version which clients downloaded here."""

from collections import Counter, defaultdict
from collections.abc import Collection
from typing import NamedTuple

from packaging.utils import NormalizedName

from koschey.db.advisories import COLUMNS, read_advisory
from koschey.db.pool import Connection, Database
from koschey.events import Event
from koschey.model import MAIN_INDEX, Advisory
from koschey.policy.advisories import fixes
from koschey.standards.versions import version_key

# Few projects have both a held version and an advisory. The other statements read these projects alone.
SELECT_HELD = """
    SELECT DISTINCT project.name, file.version
      FROM standing
      JOIN index ON index.id = standing.index_id AND index.name = $1
      JOIN file ON file.id = standing.file_id
      JOIN project ON project.id = file.project_id
     WHERE standing.state = 'held' AND file.yanked IS NULL AND file.absent_since IS NULL
       AND project.origin = 'mirrored'
       AND EXISTS (SELECT FROM advisory
                    WHERE advisory.project = project.name AND advisory.withdrawn_at IS NULL)
     ORDER BY project.name, file.version
"""
SELECT_DOWNLOADED = """
    SELECT DISTINCT project.name, file.version
      FROM project
      JOIN file ON file.project_id = project.id
     WHERE project.name = ANY($2::text[])
       AND EXISTS (SELECT FROM download JOIN index ON index.id = download.index_id AND index.name = $1
                    WHERE download.file_id = file.id)
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

    def __str__(self) -> str:
        times = "once" if self.downloads == 1 else f"{self.downloads} times"
        return f"fixes {self.advisory} in {', '.join(self.fixes)}, downloaded here {times}"


async def select_fast_lane(db: Database) -> list[FastLane]:
    """Return the held security fixes; those of the most downloaded versions first."""
    held = [(row["name"], row["version"]) for row in await db.fetch(SELECT_HELD, MAIN_INDEX)]
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


async def select_recorded_fixes(connection: Connection, project: NormalizedName, version: str) -> set[str]:
    """Return the ids of the advisories for which the journal already says that this version fixes them."""
    return {
        row["advisory"]
        for row in await connection.fetch(SELECT_RECORDED_FIXES, project, version, Event.SECURITY_FIX_WAITS)
    }


def by_release(found: list[FastLane]) -> dict[tuple[str, str], str]:
    """Return a text for each release that says what it fixes, in the order of the list."""
    said: dict[tuple[str, str], list[str]] = {}
    for fix in found:
        said.setdefault((fix.project, fix.version), []).append(str(fix))
    return {release: "; ".join(sentences) for release, sentences in said.items()}
