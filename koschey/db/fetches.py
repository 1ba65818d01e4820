"""Statements of the download of a file: one begins it, and one records its result.

Each is one statement, a transaction by itself, because each round trip is time that the first client waits.
"""

from dataclasses import replace
from datetime import timedelta

from koschey.db.files import COLUMNS, TABLES, read_file
from koschey.db.leases import Lease, acquire_by
from koschey.db.outbox import MERGED
from koschey.db.pool import Connection, Database
from koschey.model import MAIN_INDEX, File, FileId, Sha256
from koschey.outbox import FileWanted, ProvenanceWanted, render_message

# The commit of a lease does not wait for the disk, and so the message does not either. If PostgreSQL crashes at once,
# both are lost. Then either this process still stores the file, or the next request for it begins the download again.
BEGIN_FETCH = f"""
    WITH acquired AS ({acquire_by("$3", "$4", "$5")}), message AS (
        INSERT INTO outbox (key, kind, payload, due_at, first_due_at)
        SELECT $6::text, $7::text, $8::jsonb, koschey_now() + $9::interval, koschey_now() + $9::interval
          FROM acquired JOIN file ON file.id = $2 AND file.stored_at IS NULL
        ON CONFLICT (key) DO UPDATE SET due_at = least(outbox.due_at, excluded.due_at),
                                        first_due_at = least(outbox.first_due_at, excluded.first_due_at),
                                        revision = outbox.revision + 1
    )
    SELECT {COLUMNS} FROM {TABLES} CROSS JOIN acquired WHERE file.id = $2
"""  # noqa: S608
# The lock on the project comes first, as in all transactions: a refresh that reads files under this lock must not miss
# that one of them is stored. PostgreSQL checks the conditions on the newest version of the row, also after a wait.
WRITE_STORED = f"""
    WITH locked AS MATERIALIZED (
        SELECT id FROM project WHERE name = $3 FOR UPDATE
    ), stored AS (
        UPDATE file
           SET stored_at = koschey_now(), metadata_stored = file.metadata_stored OR $8, metadata_error = NULL,
               mismatched_at = NULL
          FROM locked
         WHERE file.id = $2 AND file.project_id = locked.id AND file.stored_at IS NULL AND file.damage IS NULL
           AND file.sha256 = $4 AND file.size = $5 AND file.path = $6 AND file.core_metadata IS NOT DISTINCT FROM $7
        RETURNING file.id, file.stored_at, file.metadata_stored, file.provenance_url
    ), recorded AS (
        INSERT INTO provenance (file_id, record) SELECT id, $9 FROM stored ON CONFLICT DO NOTHING
    ), done AS (
        DELETE FROM outbox WHERE key = $10 AND EXISTS (SELECT FROM stored)
    ), message AS (
        INSERT INTO outbox (key, kind, payload)
        SELECT $11::text, $12::text, $13::jsonb FROM stored WHERE provenance_url IS NOT NULL
        {MERGED}
        RETURNING id
    ), released AS (
        DELETE FROM lease WHERE key = $14 AND holder = $15 AND EXISTS (SELECT FROM stored) RETURNING key
    )
    SELECT {COLUMNS}, stored.stored_at AS now_stored_at, stored.metadata_stored AS now_metadata_stored,
           stored.provenance_url AS now_provenance_url,
           pg_notify('koschey_file', project.name || file.path),
           (SELECT pg_notify('koschey_lease', key) FROM released),
           (SELECT pg_notify('koschey_outbox', '') FROM message)
      FROM {TABLES} JOIN stored ON stored.id = file.id
     WHERE file.id = $2
"""  # noqa: S608

WRITE_CHANGED = """
    WITH stored AS (
        UPDATE file
           SET stored_at = koschey_now(), sha256 = $2, size = $3, path = coalesce(path, $4), metadata_error = NULL,
               damage = NULL, mismatched_at = NULL
         WHERE id = $1 AND stored_at IS NULL
    ), recorded AS (
        INSERT INTO provenance (file_id, record) VALUES ($1, $5) ON CONFLICT DO NOTHING
    ), done AS (
        DELETE FROM outbox WHERE key = $6
    ), released AS (DELETE FROM lease WHERE key = $7 AND holder = $8 RETURNING key)
    SELECT pg_notify('koschey_lease', key) FROM released
"""


async def begin_fetch(
    file: FileId, delay: timedelta, db: Database, key: str, holder: str, seconds: float
) -> File | None:
    """Acquire a lease as `acquire_lease` does, and return the file's current row. Returns None without the lease.

    Unless the file is stored, the worker gets a message to download it after the delay, in case this process dies.
    """
    kind, message, payload = render_message(FileWanted(file))
    row = await db.fetchrow(BEGIN_FETCH, MAIN_INDEX, file, key, holder, seconds, message, kind, payload, delay)
    return read_file(row).file if row else None


async def write_stored(
    db: Database, file: File, core_metadata: Sha256 | None, record: str, lease: Lease
) -> File | None:
    """Record that the verified bytes of a file are in S3, and end its download: the message and the lease go with it.

    `file` has the facts that the row must still have, and `core_metadata` is the digest of the METADATA that was found
    in these bytes and is stored; None if there is none. Returns the file as it is now. Returns None, and changes
    nothing, if the row has other facts by now.

    Such a change gets no serial. Web processes are notified of the project and the file's path, `name/packages/...`,
    and keep the snapshot of the project.
    """
    _, done, _ = render_message(FileWanted(file.id))
    kind, key, payload = render_message(ProvenanceWanted(file.project, file.version))
    facts = (file.sha256, file.size, file.path, core_metadata, core_metadata is not None)
    row = await db.fetchrow(
        WRITE_STORED, MAIN_INDEX, file.id, file.project, *facts, record, done, key, kind, payload, *lease
    )
    if row is None:
        return None
    # The row is the one from before this statement.
    before = read_file(row).file
    return replace(
        before,
        stored_at=row["now_stored_at"],
        metadata_stored=row["now_metadata_stored"],
        provenance_url=row["now_provenance_url"],
        metadata_error=None,
        mismatched_at=None,
        record=before.record or record,
    )


async def write_changed(connection: Connection, file: File, path: str, record: str, lease: Lease) -> None:
    """Do as `write_stored` within a transaction that holds the lock on the project, whatever the row says.

    `file` has the digest and the size of the bytes. The caller compares them with the row, and notifies of the project.
    """
    _, done, _ = render_message(FileWanted(file.id))
    await connection.execute(WRITE_CHANGED, file.id, file.sha256, file.size, path, record, done, *lease)
