"""Changes of the policy on a real database: who makes them, what a command says, and the messages that they leave."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from click.testing import Result

from koschey.db.pool import Connection
from koschey.model import Actor

CLI = Actor("ada", "cli")
DAY = timedelta(days=1)
type Run = Callable[..., Result]


async def asked(run: Run, *arguments: str) -> Any:
    """What a command says in JSON, from a thread, for commands run a loop of their own."""
    return json.loads((await asyncio.to_thread(run, *arguments, "--json")).stdout)


async def messages(connection: Connection) -> dict[str, tuple[str, dict[str, object]]]:
    """Kind and payload of the messages for Temporal, by their keys."""
    rows = await connection.fetch("SELECT key, kind, payload FROM outbox")
    return {row["key"]: (row["kind"], row["payload"]) for row in rows}
