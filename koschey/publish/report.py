"""Reports that files are malware, acted upon: blocked at once, whether they wait or are served already.

A report is acted upon once. Where people reverse it, it is not repeated until the advisory changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from packaging.utils import NormalizedName

from koschey.db import files, projects
from koschey.db.advisories import select_pending, update_applied
from koschey.db.alerts import FIRST
from koschey.db.journal import Entry
from koschey.db.outbox import insert_messages
from koschey.db.policies import load_policy
from koschey.db.pool import Connection
from koschey.db.record import Record
from koschey.model import SYSTEM, Advisory, Origin, Project, StandingFile, State
from koschey.outbox import ReleaseHeld
from koschey.policy.advisories import affects, is_blocked, report_of
from koschey.policy.rules import Rules

REPORTABLE = (State.HELD, State.RELEASED)


async def act_on_reports(connection: Connection, name: NormalizedName) -> int:
    """Act on what advisories say of a project since it was last looked at; returns how many files were blocked."""
    async with connection.transaction():
        project = await projects.lock_project(connection, name)
        pending = await select_pending(connection, name)
        if project is None or not pending:
            return 0
        record = Record(connection, SYSTEM, name)
        blocked = 0
        if project.origin is Origin.MIRRORED:
            known = await files.lock_release_files(connection, name, None)
            now = await projects.select_now(connection)
            policy = (await load_policy(connection, project, checks=False)).in_force(now)
            blocked = await _Acting(connection, project, known, policy.rules, record).act(pending)
        await update_applied(connection, name)
        await record.write()
        return blocked


@dataclass(frozen=True, slots=True)
class _Acting:
    """The steps of the transaction."""

    connection: Connection
    project: Project
    known: Sequence[StandingFile]
    rules: Rules
    record: Record

    async def act(self, pending: Sequence[Advisory]) -> int:
        blocked: set[int] = set()
        for advisory in pending:
            if advisory.malicious and advisory.withdrawn_at is None:
                reported = [
                    item
                    for item in self.known
                    if item.standing.state in REPORTABLE and item.file.id not in blocked
                    if affects(advisory, item.file.version) and is_blocked(self.rules, item.file.version)
                ]
                await self._block(advisory, reported)
                blocked.update(item.file.id for item in reported)
            else:
                self._tell_of_withdrawal(advisory)
        return len(blocked)

    async def _block(self, advisory: Advisory, reported: Sequence[StandingFile]) -> None:
        if not reported:
            return
        reason = report_of(advisory)
        await files.update_states(self.connection, [item.file.id for item in reported], State.BLOCKED, reason)
        held = sorted({item.file.version for item in reported if item.standing.state is State.HELD})
        await insert_messages(self.connection, [ReleaseHeld(self.project.name, version) for version in held])
        self._tell("recall", State.BLOCKED, advisory, reported)

    def _tell_of_withdrawal(self, advisory: Advisory) -> None:
        """What was blocked stays so: only people know what else speaks against it."""
        still = [
            item
            for item in self.known
            if item.standing.state is State.BLOCKED and item.standing.reason.startswith(f"{advisory.id}: ")
        ]
        self._tell("advisory withdrawn", "advisory withdrawn", advisory, still)

    def _tell(self, kind: str, action: str, advisory: Advisory, items: Sequence[StandingFile]) -> None:
        """Record a row of the journal for each file, and one alert.

        It names every version: what it calls malware takes two people to be let out again.
        """
        if not items:
            return
        reason = report_of(advisory)
        entries = [Entry(item.file.version, item.file.filename, {"reason": reason}) for item in items]
        self.record.add(action, entries)
        versions = sorted({item.file.version for item in items})
        detail: dict[str, object] = {
            "reason": reason,
            "advisory": advisory.id,
            "files": len(items),
            "first": [item.file.filename for item in items[:FIRST]],
        }
        version = versions[0] if len(versions) == 1 else None
        detail |= {} if version else {"versions": versions}
        self.record.alert(kind, [Entry(version, None, detail)])
