"""`KOSCHEY_DOWNLOADS_KEPT_DAYS`: who took files long ago is forgotten, in portions, and the journal says until when."""

from datetime import UTC, datetime, timedelta
from unittest.mock import ANY

import pytest

from activities.housekeeping import HousekeepingActivities
from koschey.db import downloads
from koschey.db.pool import Connection, Pool
from koschey.governance import retention
from koschey.governance.retention import forget_downloads
from koschey.model import FileId, State
from tests.support.postgres import set_clock
from tests.support.rows import NOON, add_project, new_file, select_files

KEPT = timedelta(days=30)
WHEEL = "spam-1.0-py3-none-any.whl"
MIDNIGHT = datetime(2026, 10, 23, tzinfo=UTC)
"""The beginning of the day that was thirty days before noon."""
INSERT = """
    INSERT INTO download (index_id, file_id, at, account)
    SELECT index.id, $1, row.at, row.account FROM index, unnest($2::timestamptz[], $3::text[]) AS row (at, account)
"""


@pytest.fixture(name="file")
async def _file(pool: Pool, connection: Connection) -> FileId:
    """A file that somebody can take; it is noon."""
    await set_clock(pool, NOON)
    name = await add_project(connection, "spam", [new_file(WHEEL, State.RELEASED)])
    return (await select_files(connection, name))[WHEEL].file.id


async def take(connection: Connection, file: FileId, *moments: datetime) -> None:
    """Write down downloads, each by an account of its own."""
    await connection.execute(INSERT, file, list(moments), [f"{moment:%m-%d %H:%M:%S}" for moment in moments])


async def left(connection: Connection) -> list[str]:
    """Who is still known."""
    return [row["account"] for row in await connection.fetch("SELECT account FROM download ORDER BY id")]


async def test_what_is_older_is_forgotten(connection: Connection, file: FileId) -> None:
    """All of the days before goes, all of that day stays, and one line of the journal says how many until when."""
    moment = timedelta(seconds=1)
    await take(connection, file, MIDNIGHT - 90 * KEPT, MIDNIGHT - moment, MIDNIGHT, NOON - KEPT, NOON)
    assert await forget_downloads(connection, KEPT) == 2
    assert await left(connection) == ["10-23 00:00:00", "10-23 12:00:00", "11-22 12:00:00"]
    rows = await connection.fetch("SELECT actor, door, action, project, version, filename, detail FROM journal")
    detail = {"downloads": 2, "until": "2026-10-23T00:00:00+00:00"}
    assert [tuple(row) for row in rows] == [("system", ANY, "forget downloads", "*", None, None, detail)]


async def test_it_happens_once_a_day(pool: Pool, connection: Connection, file: FileId) -> None:
    """Where there is nothing to forget nothing is written, and what ages during the day waits for midnight."""
    assert await forget_downloads(connection, KEPT) == 0
    await take(connection, file, MIDNIGHT + timedelta(hours=1), NOON)
    for later in (timedelta(hours=6), timedelta(hours=11, minutes=59)):
        await set_clock(pool, NOON + later)
        assert await forget_downloads(connection, KEPT) == 0
    assert await connection.fetchval("SELECT count(*) FROM journal") == 0
    await set_clock(pool, NOON + timedelta(hours=12))
    assert await forget_downloads(connection, KEPT) == 1
    assert await forget_downloads(connection, KEPT) == 0
    assert await connection.fetchval("SELECT count(*) FROM journal") == 1


async def test_portions(connection: Connection, file: FileId, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, a statement deletes few and a transaction not all of them; each has its line."""
    monkeypatch.setattr(downloads, "PORTION", 10)
    monkeypatch.setattr(retention, "MOST", 3)
    await take(connection, file, *(MIDNIGHT - timedelta(minutes=number) for number in range(75, 0, -1)), NOON)
    assert [await forget_downloads(connection, KEPT) for _ in range(4)] == [30, 30, 15, 0]
    assert await left(connection) == ["11-22 12:00:00"]
    rows = await connection.fetch("SELECT detail ->> 'downloads' AS count FROM journal ORDER BY serial")
    assert [row["count"] for row in rows] == ["30", "30", "15"]


async def test_what_was_written_down_at_once_may_stand_in_any_order(connection: Connection, file: FileId) -> None:
    """A younger row before an older one, as two processes leave them, keeps neither from being judged by its time."""
    await take(connection, file, MIDNIGHT + timedelta(seconds=1), MIDNIGHT - timedelta(seconds=1), NOON)
    assert await forget_downloads(connection, KEPT) == 1
    assert await left(connection) == ["10-23 00:00:01", "11-22 12:00:00"]


async def test_a_fault_forgets_nothing(connection: Connection, file: FileId, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the journal does not say did not happen."""
    await take(connection, file, MIDNIGHT - KEPT)

    async def refuse(*_: object) -> None:
        raise ConnectionError("gone")

    monkeypatch.setattr("koschey.db.journal.insert_entries", refuse)
    with pytest.raises(ConnectionError):
        await forget_downloads(connection, KEPT)
    assert len(await left(connection)) == 1


async def test_by_default_nothing_is_forgotten(pool: Pool, connection: Connection, file: FileId) -> None:
    """Without the setting downloads stay for ever; with it the step of keeping house forgets them."""
    await take(connection, file, MIDNIGHT - 1000 * KEPT)
    assert await HousekeepingActivities(pool, None).forget_downloads() == 0
    assert len(await left(connection)) == 1
    assert await HousekeepingActivities(pool, KEPT).forget_downloads() == 1
    assert await left(connection) == []
