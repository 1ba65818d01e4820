"""Reads the schema of a database as text, so that tests can compare two."""

from collections.abc import Mapping
from typing import Any

from koschey.db.pool import Connection


async def schema_of(connection: Connection) -> Mapping[str, Any]:
    """All objects that migrations create, in a fixed order."""
    return {name: [tuple(row) for row in await connection.fetch(query)] for name, query in SCHEMA.items()}


SCHEMA = {
    "columns": """
        SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
         WHERE table_schema = 'public' ORDER BY table_name, column_name
    """,
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
         WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2
    """,
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    "functions": "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public' ORDER BY 1",
    "triggers": "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2",
    "moves": "SELECT from_state, to_state FROM legal_move ORDER BY 1, 2",
}
