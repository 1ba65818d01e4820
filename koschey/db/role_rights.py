"""Rights of the role under which web processes and workers run, if that is not the role that owns the tables.

Triggers keep the owner's code from changing what is append-only, but the owner can drop a trigger. This role cannot.
"""

import asyncpg

from koschey.db.pool import Connection
from koschey.errors import UsageError

APPEND_ONLY = ("journal", "decision", "origin_change")
"""Tables to which the role may only add rows."""
READ_ONLY = ("journal_digest", "migration", "legal_move")
"""Tables that only triggers and the owner write."""
SELECT_ROLE = "SELECT quote_ident(rolname) FROM pg_roles WHERE rolname = $1"
SELECT_SCHEMA = "SELECT quote_ident(current_schema())"


async def grant_rights(connection: Connection, role: str) -> None:
    """Grant the role exactly the rights that it needs, and revoke others. Raises `UsageError` if it cannot be done."""
    quoted = await connection.fetchval(SELECT_ROLE, role)
    if quoted is None:
        raise UsageError(f"PostgreSQL has no role {role!r}; create it first: CREATE ROLE {role} LOGIN PASSWORD ...")
    schema = await connection.fetchval(SELECT_SCHEMA)
    try:
        async with connection.transaction():
            for statement in _statements(quoted, schema):
                await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError as error:
        raise UsageError(f"only the owner of the tables can grant their rights: {error}") from None


def _statements(role: str, schema: str) -> list[str]:
    """Return the statements; both names are quoted identifiers."""
    append_only = ", ".join(f"{schema}.{table}" for table in APPEND_ONLY)
    read_only = ", ".join(f"{schema}.{table}" for table in READ_ONLY)
    return [
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
        f"REVOKE UPDATE, DELETE ON {append_only} FROM {role}",
        f"REVOKE INSERT, UPDATE, DELETE ON {read_only} FROM {role}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
    ]
