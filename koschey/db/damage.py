"""Statements on objects that the bucket has lost or altered: marked once, with an alert, and unmarked when repaired."""

from enum import StrEnum

from koschey.db import journal
from koschey.db.files import update_stored
from koschey.db.journal import Entry, JournalLine, News
from koschey.db.outbox import insert_message
from koschey.db.pool import Connection
from koschey.db.projects import lock_project
from koschey.events import AlertKind, Event
from koschey.model import SYSTEM, Damage, File
from koschey.outbox import FileWanted

# Another process may have replaced the bytes that a reader reports: only the bytes that it read are marked.
UPDATE_DAMAGED = "UPDATE file SET stored_at = NULL, damage = $2 WHERE id = $1 AND stored_at = $3"
UPDATE_METADATA_DAMAGED = "UPDATE file SET metadata_damage = $2 WHERE id = $1 AND metadata_damage IS NULL"
UPDATE_METADATA_REPAIRED = "UPDATE file SET metadata_damage = NULL WHERE id = $1 AND metadata_damage IS NOT NULL"

SELECT_RECENT_ALERTS = "SELECT count(*) FROM alert WHERE kind = $1 AND at > koschey_now() - interval '1 hour'"

ALERTS = 20
"""Maximum number of alerts in an hour. A bucket that lost all files is one piece of news; the journal lists them."""


class StoredPart(StrEnum):
    """A part of a file that is stored as a separate object."""

    FILE = "file"
    METADATA = "core metadata"


async def mark_damaged(connection: Connection, file: File, damage: Damage) -> bool:
    """Record that the stored bytes of a file are lost or altered, so that no process serves them.

    The worker downloads a mirrored file again. Returns False if the damage was already recorded or repaired.
    """
    async with connection.transaction():
        await lock_project(connection, file.project)
        if await connection.execute(UPDATE_DAMAGED, file.id, damage, file.stored_at) != "UPDATE 1":
            return False
        if file.upstream_url is not None:
            await insert_message(connection, FileWanted(file.id))
        await _alert(connection, file, StoredPart.FILE, damage)
    return True


async def mark_repaired(connection: Connection, file: File) -> bool:
    """Record that the bucket has the bytes of a file again; `file` is its row from before the repair.

    Returns False if that was already recorded.
    """
    assert file.sha256 is not None
    assert file.size is not None
    assert file.path is not None
    async with connection.transaction():
        await lock_project(connection, file.project)
        # If nobody has read the file since it was damaged, its row still says that it is stored.
        is_noted = file.stored_at is None
        if is_noted and not await update_stored(connection, file.id, file.sha256, file.size, file.path):
            return False
        await _record_repaired(connection, file, StoredPart.FILE)
    return True


async def mark_metadata_damaged(connection: Connection, file: File, damage: Damage) -> bool:
    """Record that the stored METADATA or PKG-INFO of a file is lost or altered. Returns False if already recorded."""
    async with connection.transaction():
        await lock_project(connection, file.project)
        if await connection.execute(UPDATE_METADATA_DAMAGED, file.id, damage) != "UPDATE 1":
            return False
        await _alert(connection, file, StoredPart.METADATA, damage)
    return True


async def mark_metadata_repaired(connection: Connection, file: File) -> bool:
    """Record that the bucket has the METADATA or PKG-INFO of a file again. Returns False if already recorded."""
    async with connection.transaction():
        await lock_project(connection, file.project)
        if await connection.execute(UPDATE_METADATA_REPAIRED, file.id) != "UPDATE 1":
            return False
        await _record_repaired(connection, file, StoredPart.METADATA)
    return True


async def _record_repaired(connection: Connection, file: File, part: StoredPart) -> None:
    """Write to the journal that a part of a file is repaired."""
    entry = Entry(file.version, file.filename, {"part": part})
    await journal.insert_entries(connection, SYSTEM, Event.REPAIRED, file.project, [entry])


async def _alert(connection: Connection, file: File, part: StoredPart, damage: Damage) -> None:
    detail: dict[str, object] = {"part": part, "damage": damage, "sha256": file.sha256}
    earlier, news = await connection.fetchval(SELECT_RECENT_ALERTS, AlertKind.DAMAGED), []
    if earlier < ALERTS:
        extended = detail | {"fetched_again": file.upstream_url is not None}
        extended |= {"more_in_journal": True} if earlier == ALERTS - 1 else {}
        news = [News(1, AlertKind.DAMAGED, file.project, Entry(file.version, file.filename, extended))]
    line = JournalLine(Event.DAMAGED, file.project, Entry(file.version, file.filename, detail))
    await journal.write_lines(connection, SYSTEM, [line], news)
