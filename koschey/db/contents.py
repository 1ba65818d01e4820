"""Statements on `content`: what the archive of a file contains, as reported by the child process that read it."""

from typing import Any

from koschey.db.pool import Database
from koschey.model import FileId, Sha256

SELECT_REPORT = """
    SELECT content.report FROM content JOIN file ON file.id = content.file_id AND file.sha256 = content.sha256
     WHERE content.file_id = $1
"""
UPSERT_REPORT = """
    INSERT INTO content (file_id, sha256, report)
    SELECT id, sha256, $3 FROM file WHERE id = $1 AND sha256 = $2
    ON CONFLICT (file_id) DO UPDATE SET sha256 = excluded.sha256, report = excluded.report, at = koschey_now()
"""


async def select_report(db: Database, file: FileId) -> dict[str, Any] | None:
    """Return the report on a file's bytes; None if no process has inspected them."""
    found: dict[str, Any] | None = await db.fetchval(SELECT_REPORT, file)
    return found


async def upsert_report(db: Database, file: FileId, sha256: Sha256, report: dict[str, Any]) -> None:
    """Store the report on these bytes of a file. It is derived from them, so the journal gets no entry."""
    await db.execute(UPSERT_REPORT, file, sha256, report)
