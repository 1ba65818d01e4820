"""One portion of an intake under way: the connection, the project, and its part of the journal and of the alerts."""

from dataclasses import dataclass
from datetime import datetime

from koschey.db.policies import load_policy
from koschey.db.pool import Connection
from koschey.db.record import Record
from koschey.model import Project
from koschey.policy.verdict import Policy


@dataclass
class Taking:
    """What the steps of one portion share. Its transaction holds the lock on the project."""

    connection: Connection
    project: Project
    now: datetime
    record: Record
    _policy: Policy | None = None

    async def policy(self) -> Policy:
        """Return the project's policy; read once, and only where it is needed."""
        if self._policy is None:
            self._policy = await load_policy(self.connection, self.project)
        return self._policy
