"""Statements on `standing`: the state of each file in an index, and its cause."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from koschey.causes import Cause, CauseKind, Grounds
from koschey.db.pool import Connection
from koschey.model import MAIN_INDEX, FileId, State

CAUSE = ("cause", "cause_subject", "cause_scope", "cause_version")
STANDING = ("reason", "release_at", "available_at", "counts_from", "held_until", "withdrawn_at")
UPDATE_STATES = """
    UPDATE standing
       SET state = $3, reason = $4, changed_at = koschey_now(),
           release_at = CASE WHEN $3 = 'held' THEN $5 ELSE release_at END,
           -- A file that a person holds is released only by a person.
           counts_from = CASE WHEN $3 = 'held' THEN $5 ELSE counts_from END,
           held_until = CASE WHEN $3 = 'held' THEN NULL ELSE held_until END,
           withdrawn_at = CASE WHEN $6 THEN koschey_now() ELSE withdrawn_at END,
           available_at = CASE WHEN $3 = 'released' THEN koschey_now() ELSE available_at END,
           cause = $7, cause_subject = $8, cause_scope = $9, cause_version = $10,
           cause_transaction = pg_current_xact_id()
      FROM index
     WHERE index.name = $1 AND standing.index_id = index.id AND standing.file_id = ANY($2::bigint[])
"""
UPDATE_WINDOWS = """
    UPDATE standing SET release_at = row.release_at, held_until = row.held_until
      FROM index, unnest($2::bigint[], $3::timestamptz[], $4::timestamptz[]) AS row (file_id, release_at, held_until)
     WHERE index.name = $1 AND standing.index_id = index.id AND standing.file_id = row.file_id
       AND standing.state = 'held'
"""
UPDATE_HELD_REASON = """
    UPDATE standing SET reason = $3, cause = $4, cause_subject = $5, cause_scope = $6, cause_version = $7,
                        cause_transaction = pg_current_xact_id()
      FROM index
     WHERE index.name = $1 AND standing.index_id = index.id AND standing.file_id = $2
       AND standing.state = 'held' AND standing.reason <> $3
"""


async def update_states(
    connection: Connection,
    files: Sequence[FileId],
    state: State,
    grounds: Grounds,
    release_at: datetime | None = None,
    *,
    withdrawn: bool = False,
) -> None:
    """Change the state of files. PostgreSQL refuses illegal changes. The caller writes the journal in the transaction.

    `withdrawn` says that a withdrawal by the upstream is the only cause.
    """
    cause, reason = grounds
    values = (list(files), state, reason, release_at, withdrawn, *cause_columns(cause))
    await connection.execute(UPDATE_STATES, MAIN_INDEX, *values)


async def update_windows(
    connection: Connection, due: Sequence[tuple[FileId, datetime | None, datetime | None]]
) -> None:
    """Record the ends of the windows of held files, and of extensions by a reviewer: (file, end, extended until)."""
    columns = [list(column) for column in zip(*due, strict=True)]
    await connection.execute(UPDATE_WINDOWS, MAIN_INDEX, *columns)


async def update_held_reason(connection: Connection, file: FileId, grounds: Grounds) -> bool:
    """Change the reason of a held file. Returns False if it already has this reason, or is not held any more."""
    values = (file, grounds.reason, *cause_columns(grounds.cause))
    return bool(await connection.execute(UPDATE_HELD_REASON, MAIN_INDEX, *values) == "UPDATE 1")


@lru_cache(maxsize=1000)
def read_cause(kind: str, subject: str, scope: str, version: str | None) -> Cause:
    """Turn the columns of `CAUSE` into a cause."""
    return Cause(CauseKind(kind), subject, scope, version)


def cause_columns(cause: Cause) -> tuple[str, str, str, str | None]:
    """Return the values of the columns of `CAUSE`."""
    return cause.kind, cause.subject, cause.scope, cause.version
