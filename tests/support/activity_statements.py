"""Counts the statements that each activity sends to PostgreSQL, BEGIN and COMMIT included."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from temporalio import activity

from koschey.db import pool as pools

PREPARE = pools._decode_json
DRIVER = re.compile(r"typeinfo_tree|current_setting\('jit'\)|set_config\('jit'")
"""What asyncpg asks by itself when a new connection first meets a type: with it the counts would depend on the pool."""


class ActivityStatements:
    """The statements of activities, by the activity's type; one list for each execution, in their order."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], list[str]] = {}

    async def watch(self, connection: Any) -> None:
        """Record the statements on a connection from now on. Tasks that an activity starts belong to it."""
        await PREPARE(connection)

        def hear(query: Any) -> None:
            if activity.in_activity() and not DRIVER.search(query.query):
                info = activity.info()
                execution = f"{info.workflow_run_id}/{info.activity_id}"
                self._said.setdefault((info.activity_type, execution), []).append(query.query)

        connection.add_query_logger(hear)

    def of(self, activity_type: str) -> list[list[str]]:
        """Return the statements of each execution of an activity, the first execution first."""
        return [said for (name, _), said in self._said.items() if name == activity_type]

    @property
    def executions(self) -> Counter[str]:
        """The number of executions of each activity that sent a statement."""
        return Counter(name for name, _ in self._said)


@contextmanager
def counting() -> Iterator[ActivityStatements]:
    """Count the statements on connections of pools that are opened in the block."""
    statements = ActivityStatements()
    with patch.object(pools, "_decode_json", statements.watch):
        yield statements
