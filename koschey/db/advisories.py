"""Statements on `advisory` and `advisory_feed`: what the feed said when it was last read, and when that was."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import batched
from typing import Any, NamedTuple

from packaging.utils import NormalizedName

from koschey.db.pool import Connection, Database, read_time
from koschey.model import Advisory, VersionRange

BATCH = 2000
COLUMNS = "id, project, malicious, summary, versions, ranges, modified, withdrawn_at"

UPSERT_ADVISORIES = """
    INSERT INTO advisory AS old (id, project, malicious, summary, versions, ranges, modified, withdrawn_at, pending)
    SELECT row.id, row.project, row.malicious, row.summary,
           ARRAY(SELECT jsonb_array_elements_text(row.versions -> 'all')), row.ranges -> 'all',
           row.modified, row.withdrawn_at,
           row.malicious AND row.withdrawn_at IS NULL
      FROM unnest($1::text[], $2::text[], $3::boolean[], $4::text[], $5::jsonb[], $6::jsonb[], $7::timestamptz[],
                  $8::timestamptz[])
           AS row (id, project, malicious, summary, versions, ranges, modified, withdrawn_at)
    ON CONFLICT (id, project) DO UPDATE
       SET malicious = excluded.malicious, summary = excluded.summary, versions = excluded.versions,
           ranges = excluded.ranges, modified = excluded.modified, withdrawn_at = excluded.withdrawn_at,
           -- A changed summary alone causes no new judgement of the files: people may have decided about them.
           pending = old.pending OR ((old.malicious OR excluded.malicious) AND
               (old.malicious, old.versions, old.ranges, old.withdrawn_at IS NULL) IS DISTINCT FROM
               (excluded.malicious, excluded.versions, excluded.ranges, excluded.withdrawn_at IS NULL))
     WHERE (old.malicious, old.summary, old.versions, old.ranges, old.modified, old.withdrawn_at) IS DISTINCT FROM
           (excluded.malicious, excluded.summary, excluded.versions, excluded.ranges, excluded.modified,
            excluded.withdrawn_at)
"""
WITHDRAW_OTHERS = """
    UPDATE advisory SET withdrawn_at = koschey_now(), pending = malicious
     WHERE withdrawn_at IS NULL
       AND NOT EXISTS (SELECT FROM unnest($1::text[], $2::text[]) AS kept (id, project)
                        WHERE kept.id = advisory.id AND kept.project = advisory.project)
"""
SELECT_ADVISORIES = f"""
    SELECT {COLUMNS} FROM advisory WHERE project = $1 AND withdrawn_at IS NULL ORDER BY id
"""  # noqa: S608
ADVISORIES = f"""
    (SELECT coalesce(jsonb_agg(to_jsonb(about)), '[]')
       FROM (SELECT {COLUMNS} FROM advisory WHERE project = $2 AND withdrawn_at IS NULL ORDER BY id) AS about)
"""  # noqa: S608
"""The same as one value, for `read_advisories`."""
SELECT_PENDING = f"SELECT {COLUMNS} FROM advisory WHERE project = $1 AND pending ORDER BY id"  # noqa: S608
SELECT_PENDING_PROJECTS = """
    SELECT DISTINCT project.name FROM advisory JOIN project ON project.name = advisory.project WHERE advisory.pending
     ORDER BY project.name
"""
UPDATE_APPLIED = "UPDATE advisory SET pending = false WHERE project = $1 AND pending"
LOCK_FEED = "SELECT 1 FROM advisory_feed FOR UPDATE"
SELECT_FEED = "SELECT read_at, etag, fault, count FROM advisory_feed"
INSERT_FEED = "INSERT INTO advisory_feed DEFAULT VALUES ON CONFLICT DO NOTHING"
UPDATE_READ = """
    UPDATE advisory_feed
       SET read_at = koschey_now(), tried_at = koschey_now(), fault = NULL, etag = $1,
           count = (SELECT count(*) FROM advisory WHERE withdrawn_at IS NULL)
"""
UPDATE_CONFIRMED = "UPDATE advisory_feed SET read_at = koschey_now(), tried_at = koschey_now(), fault = NULL"
UPDATE_FAULT = "UPDATE advisory_feed SET tried_at = koschey_now(), fault = $1"


class FeedState(NamedTuple):
    """The result of the last reading of the feed."""

    read_at: datetime | None
    """When the whole feed was last read, or was found unchanged; None if never."""
    etag: str | None
    fault: str | None
    """Why the last attempt failed; None if it succeeded."""
    advisories: int
    """The number of advisories that are not withdrawn."""


async def select_feed(db: Database) -> FeedState:
    """Return the state of the feed."""
    row = await db.fetchrow(SELECT_FEED)
    return FeedState(*row) if row else FeedState(None, None, None, 0)


async def lock_feed(connection: Connection) -> FeedState:
    """Return the state of the feed, and keep other processes from writing the feed until this transaction ends."""
    await connection.execute(INSERT_FEED)
    await connection.execute(LOCK_FEED)
    return await select_feed(connection)


async def replace_advisories(connection: Connection, advisories: Sequence[Advisory]) -> None:
    """Write the advisories that the feed has now, and withdraw those that it no longer has."""
    await connection.execute(WITHDRAW_OTHERS, [each.id for each in advisories], [each.project for each in advisories])
    for batch in batched(advisories, BATCH):
        await connection.execute(UPSERT_ADVISORIES, *(list(column) for column in zip(*map(_row, batch), strict=True)))


async def update_read(connection: Connection, etag: str | None) -> None:
    """Record that the whole feed was read."""
    await connection.execute(UPDATE_READ, etag)


async def update_confirmed(connection: Connection) -> None:
    """Record that the feed has not changed since it was last read."""
    await connection.execute(UPDATE_CONFIRMED)


async def update_fault(connection: Connection, fault: str) -> None:
    """Record why the feed could not be read."""
    await connection.execute(INSERT_FEED)
    await connection.execute(UPDATE_FAULT, fault)


async def select_advisories(db: Database, project: NormalizedName) -> list[Advisory]:
    """Return the advisories about a project that are not withdrawn."""
    return [read_advisory(row) for row in await db.fetch(SELECT_ADVISORIES, project)]


async def select_pending(connection: Connection, project: NormalizedName) -> list[Advisory]:
    """Return the advisories that have not been applied to the project's files yet, withdrawn ones too."""
    return [read_advisory(row) for row in await connection.fetch(SELECT_PENDING, project)]


async def select_pending_projects(db: Database) -> list[NormalizedName]:
    """Return the known projects that have advisories which have not been applied yet."""
    return [row["name"] for row in await db.fetch(SELECT_PENDING_PROJECTS)]


async def update_applied(connection: Connection, project: NormalizedName) -> None:
    """Record that all advisories about the project have been applied to its files."""
    await connection.execute(UPDATE_APPLIED, project)


def read_advisories(values: Sequence[dict[str, Any]]) -> list[Advisory]:
    """Turn a value of `ADVISORIES` into advisories."""
    times = ("modified", "withdrawn_at")
    return [read_advisory(each | {name: read_time(each[name]) for name in times}) for each in values]


def read_advisory(row: Any) -> Advisory:
    """Turn a row of `COLUMNS` into an advisory."""
    ranges = tuple(VersionRange(**span) for span in row["ranges"])
    return Advisory(**(dict(row) | {"versions": tuple(row["versions"]), "ranges": ranges}))


def _row(each: Advisory) -> tuple[object, ...]:
    # asyncpg would encode lists within a column's list as an array of more dimensions.
    versions, ranges = {"all": each.versions}, {"all": [asdict(span) for span in each.ranges]}
    return (
        each.id,
        each.project,
        each.malicious,
        each.summary,
        versions,
        ranges,
        each.modified,
        each.withdrawn_at,
    )
