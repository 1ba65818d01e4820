"""Statements on `alert`: what somebody should know at once."""

from koschey.db.pool import Connection
from koschey.model import Serial

INSERT_ALERT = """
    INSERT INTO alert (serial, kind, project, version, filename, detail) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id
"""


async def insert_alert(
    connection: Connection,
    serial: Serial,
    kind: str,
    project: str | None,
    version: str | None = None,
    filename: str | None = None,
    detail: dict[str, object] | None = None,
) -> None:
    """Raise an alert in the transaction of the change that caused it; `serial` is that change's in the journal."""
    await connection.fetchval(INSERT_ALERT, serial, kind, project, version, filename, detail or {})
