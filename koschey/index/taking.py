"""One intake under way: the connection, the project, and its part of the journal and of the alerts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from koschey.db import journal
from koschey.db.alerts import insert_alerts
from koschey.db.journal import Entry
from koschey.db.policies import load_policy
from koschey.db.pool import Connection
from koschey.model import SYSTEM, Project, Serial
from koschey.policy.verdict import Policy


@dataclass
class Taking:
    """What the steps of one intake share. Its transaction holds the lock on the project."""

    connection: Connection
    project: Project
    now: datetime
    made: bool = False
    """Whether anything was written to the journal."""
    _policy: Policy | None = None

    async def policy(self) -> Policy:
        """Return the project's policy; read once, and only where it is needed."""
        if self._policy is None:
            self._policy = await load_policy(self.connection, self.project)
        return self._policy

    async def record(self, action: str, entries: Sequence[Entry]) -> Serial:
        """Write to the journal what was changed."""
        self.made = True
        return await journal.insert_entries(self.connection, SYSTEM, action, self.project.name, entries)

    async def alert(self, kind: str, serial: Serial, entries: Sequence[Entry]) -> None:
        """Tell people of that change."""
        await insert_alerts(self.connection, serial, kind, self.project.name, entries)
