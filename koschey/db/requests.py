"""Statements on `request`: who requested a release that is not served, why, and whether a decision answered it.

The journal has no entries about requests: a request does not change what an index serves, so it gets no serial, and
strangers cannot fill the journal.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from packaging.utils import NormalizedName

from koschey.db.pool import Connection, Database
from koschey.model import MAIN_INDEX

# Requests of one account or address wait for each other, so that nobody exceeds the limit by many requests at once.
LOCK_WHO = "SELECT pg_advisory_xact_lock(hashtextextended('koschey_request/' || $1, 0))"
# The only definition of an open request. A request for a release that is served by now needs no answer any more.
# OFFSET 0 has PostgreSQL look up the files of each request; it would plan a join with all served files otherwise.
OPEN = """
    request.answered_at IS NULL AND NOT EXISTS (
        SELECT FROM served_file
         WHERE served_file.index_id = request.index_id AND served_file.project = request.project
           AND served_file.version = request.version
        OFFSET 0)
"""
COUNT_OTHERS = f"""
    SELECT count(*) FROM request JOIN index ON index.id = request.index_id
     WHERE index.name = $1 AND request.who = $2 AND (request.project, request.version) <> ($3, $4) AND {OPEN}
"""  # noqa: S608
UPSERT_REQUEST = """
    INSERT INTO request (index_id, project, version, who, reason)
    SELECT id, $2, $3, $4, $5 FROM index WHERE name = $1
    ON CONFLICT (index_id, project, version, who)
    DO UPDATE SET times = request.times + 1, reason = excluded.reason, last_at = koschey_now(), answered_at = NULL
    RETURNING times
"""
SELECT_REQUESTS = f"""
    SELECT request.project, request.version, request.who, request.reason, request.times, request.at, request.last_at
      FROM request JOIN index ON index.id = request.index_id
     WHERE index.name = $1 AND {OPEN}
     ORDER BY request.last_at DESC, request.id DESC
     LIMIT $2
"""  # noqa: S608
SELECT_RELEASE_REQUESTS = f"""
    SELECT request.project, request.version, request.who, request.reason, request.times, request.at, request.last_at,
           count(*) OVER () AS asked
      FROM request JOIN index ON index.id = request.index_id
     WHERE index.name = $1 AND request.project = $2 AND request.version = $3 AND {OPEN}
     ORDER BY request.last_at DESC, request.id DESC
     LIMIT $4
"""  # noqa: S608
SELECT_REQUEST_COUNTS = f"""
    SELECT request.project, request.version, count(*) AS asked
      FROM request JOIN index ON index.id = request.index_id
     WHERE index.name = $1 AND {OPEN}
       AND (request.project, request.version) IN (SELECT * FROM unnest($2::text[], $3::text[]))
     GROUP BY request.project, request.version
"""  # noqa: S608
ANSWER_REQUESTS = """
    UPDATE request SET answered_at = koschey_now()
      FROM index
     WHERE index.name = $1 AND request.index_id = index.id AND request.answered_at IS NULL
       AND request.project = $2 AND ($3::text IS NULL OR request.version = $3)
"""
MANY = 1000
"""Maximum number of open requests that are listed."""


class Request(NamedTuple):
    """An open request."""

    project: NormalizedName
    version: str
    who: str
    """The account, or the address if the client did not log in."""
    reason: str
    times: int
    at: datetime
    last_at: datetime


async def count_others(connection: Connection, who: str, project: NormalizedName, version: str) -> int:
    """Return how many other releases `who` has requested, and make another request of theirs wait."""
    await connection.execute(LOCK_WHO, who)
    return int(await connection.fetchval(COUNT_OTHERS, MAIN_INDEX, who, project, version))


async def upsert_request(connection: Connection, project: NormalizedName, version: str, who: str, reason: str) -> int:
    """Record a request for a release, or its repetition. Returns how often `who` has requested the release."""
    return int(await connection.fetchval(UPSERT_REQUEST, MAIN_INDEX, project, version, who, reason))


async def select_requests(db: Database) -> list[Request]:
    """Return the open requests, the newest first."""
    return [Request(*row) for row in await db.fetch(SELECT_REQUESTS, MAIN_INDEX, MANY)]


async def select_release_requests(
    db: Database, project: NormalizedName, version: str, limit: int
) -> tuple[int, list[Request]]:
    """Return the number of open requests for a release, and the newest of them."""
    rows: list[Any] = await db.fetch(SELECT_RELEASE_REQUESTS, MAIN_INDEX, project, version, limit)
    return (rows[0]["asked"] if rows else 0), [Request(*tuple(row)[:-1]) for row in rows]


async def select_request_counts(db: Database, releases: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Return the number of open requests for each of these releases that has any."""
    wanted = list(releases)
    columns = [project for project, _ in wanted], [version for _, version in wanted]
    rows: list[Any] = await db.fetch(SELECT_REQUEST_COUNTS, MAIN_INDEX, *columns)
    return {(row["project"], row["version"]): row["asked"] for row in rows}


async def answer_requests(connection: Connection, project: NormalizedName, version: str | None) -> None:
    """Record that a decision answers the requests for a release, or for all releases of a project."""
    await connection.execute(ANSWER_REQUESTS, MAIN_INDEX, project, version)
