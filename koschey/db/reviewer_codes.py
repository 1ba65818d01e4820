"""Statements on `reviewer_code` and `reviewer_code_release`: which decisions a short code proves."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from koschey.db.pool import Connection, Database
from koschey.model import MAIN_INDEX

INSERT_CODE = """
    INSERT INTO reviewer_code (digest, reviewer, door, choice, days) VALUES ($1, $2, $3, $4, $5) RETURNING issued_at
"""
INSERT_CODE_RELEASES = """
    INSERT INTO reviewer_code_release (digest, index_id, project, version, shown)
    SELECT $2, index.id, row.project, row.version, row.shown
      FROM index, unnest($3::text[], $4::text[], $5::text[]) AS row (project, version, shown)
     WHERE index.name = $1
"""
COUNT_OPEN_CODES = """
    SELECT count(*) FROM reviewer_code
     WHERE reviewer = $1 AND door = $2 AND issued_at > koschey_now() - $3::interval
       AND EXISTS (SELECT FROM reviewer_code_release AS release
                    WHERE release.digest = reviewer_code.digest AND release.used_at IS NULL)
"""
COLUMNS = """
    reviewer_code.digest, reviewer, door, choice, days, koschey_now() - issued_at AS age,
    release.shown, release.used_at, release.answer
"""
SELECT_CODES = f"""
    SELECT {COLUMNS}
      FROM reviewer_code
      JOIN reviewer_code_release AS release USING (digest)
      JOIN index ON index.id = release.index_id AND index.name = $1
     WHERE digest = ANY($2::text[]) AND release.project = $3 AND release.version = $4
"""  # noqa: S608 - only constants are put together
LOCK_CODES = f"{SELECT_CODES} FOR UPDATE OF release"
SELECT_OPEN_RELEASES = """
    SELECT release.project, release.version, array_agg(digest) AS digests
      FROM reviewer_code
      JOIN reviewer_code_release AS release USING (digest)
      JOIN index ON index.id = release.index_id AND index.name = $1
     WHERE issued_at > koschey_now() - $2::interval AND release.used_at IS NULL
     GROUP BY release.project, release.version
     ORDER BY max(issued_at) DESC, release.project, release.version
     LIMIT $3
"""
UPDATE_USED = """
    UPDATE reviewer_code_release AS release SET used_at = koschey_now(), answer = $5
      FROM index
     WHERE index.id = release.index_id AND index.name = $1
       AND digest = $2 AND project = $3 AND version = $4
"""
DELETE_OLD_CODES = "DELETE FROM reviewer_code WHERE issued_at <= koschey_now() - $1::interval"


class NewCodeRow(NamedTuple):
    """A code that is shown to a reviewer now."""

    digest: str
    reviewer: str
    door: str
    choice: str
    days: float | None


class CodeRow(NamedTuple):
    """A code, and its state for one of the releases that it covers."""

    digest: str
    reviewer: str
    door: str
    choice: str
    days: float | None
    age: timedelta
    """How long ago the code was shown."""
    shown: str
    """Digest of the files and findings that were shown beside the code."""
    used_at: datetime | None
    answer: str | None
    """The result of its use."""


class OpenRelease(NamedTuple):
    """A release that codes can still decide about, with the digests of these codes."""

    project: str
    version: str
    digests: list[str]


async def insert_code(connection: Connection, code: NewCodeRow, covered: Sequence[tuple[str, str, str]]) -> datetime:
    """Add a code that covers each (project, version, shown). Returns the time from which it counts."""
    issued_at: datetime = await connection.fetchval(INSERT_CODE, *code)
    projects, versions, shown = zip(*covered, strict=True)
    await connection.execute(INSERT_CODE_RELEASES, MAIN_INDEX, code.digest, projects, versions, shown)
    return issued_at


async def count_open_codes(db: Database, reviewer: str, door: str, lifetime: timedelta) -> int:
    """Return how many codes of a reviewer are still usable."""
    return int(await db.fetchval(COUNT_OPEN_CODES, reviewer, door, lifetime))


async def select_open_releases(db: Database, lifetime: timedelta, most: int) -> list[OpenRelease]:
    """Return the releases that usable codes cover, those of the newest codes first."""
    return [OpenRelease(*row) for row in await db.fetch(SELECT_OPEN_RELEASES, MAIN_INDEX, lifetime, most)]


async def select_codes(db: Database, digests: Sequence[str], project: str, version: str) -> dict[str, CodeRow]:
    """Return those of the codes that cover a release, by their digests."""
    rows = await db.fetch(SELECT_CODES, MAIN_INDEX, digests, project, version)
    return {row["digest"]: CodeRow(*row) for row in rows}


async def lock_code(connection: Connection, digest: str, project: str, version: str) -> CodeRow | None:
    """Lock a code for a release that it covers, so that other uses of it for the release wait, and return it."""
    row = await connection.fetchrow(LOCK_CODES, MAIN_INDEX, [digest], project, version)
    return CodeRow(*row) if row else None


async def update_used(connection: Connection, digest: str, project: str, version: str, answer: str) -> None:
    """Record that a code was used for a release, and the result."""
    await connection.execute(UPDATE_USED, MAIN_INDEX, digest, project, version, answer)


async def delete_old_codes(db: Database, max_age: timedelta) -> None:
    """Delete codes that were shown longer than `kept` ago."""
    await db.execute(DELETE_OLD_CODES, max_age)
