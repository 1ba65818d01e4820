"""Decides which checks are due for a held release, and runs them. A check that completed is not run again.

All checks that one call runs share what is read of a file: its row, records and archive, and those of its predecessor.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import batched
from typing import Any

import structlog
from packaging.utils import NormalizedName

from koschey.db import files, journal, projects
from koschey.db.checking import select_due
from koschey.db.findings import CheckRun, select_known_checks, write_known_checks
from koschey.db.journal import Entry
from koschey.db.pool import Pool
from koschey.db.rules import select_project_rules
from koschey.db.waiting import Work, select_work
from koschey.events import Event
from koschey.inspection.checks.registry import Installed, load
from koschey.model import SYSTEM
from koschey.policy.findings import KnownCheck, is_required
from koschey.quarantine.check_runs import record_runs
from koschey.quarantine.file_facts import FactReader
from koschey.quarantine.portion_checks import LONGEST, PortionChecks

log = structlog.get_logger()

AGAIN = timedelta(hours=1)
"""Time after which a check that could not be completed is tried again."""
AT_MOST = 200
"""Maximum number of files in one call."""
SHORT = 30.0
"""Maximum number of seconds for which a call without downloads begins files: a workflow's task waits for it."""
PORTION = 20
"""Maximum number of files whose records are in memory at once."""


@dataclass(frozen=True, slots=True)
class CheckCounts:
    """How many times a check completed for a file of a release, and how many times it could not."""

    checked: int = 0
    faults: int = 0
    left: bool = False
    """Whether there is more to check."""


@dataclass(slots=True)
class Checker:
    """Runs checks. A process has one."""

    pool: Pool
    reader: FactReader
    load: Callable[[], Any] = load
    _checks: Mapping[str, Installed] | None = field(default=None)

    async def checks(self) -> Mapping[str, Installed]:
        """Return the checks that are installed here, by their names. Raises `StartError` if one cannot be loaded."""
        if self._checks is None:
            self._checks = {check.name: check for check in await self.load()}
        return self._checks

    async def work(self, project: NormalizedName, version: str, after: int, limit: int) -> Work:
        """Return what is pending for a release; see `select_work`. Of its checks only those that the policy requires.

        A check that is not installed here any more is one of them; it is recorded as a fault.
        """
        work = await select_work(self.pool, project, version, [*await self.checks()], AGAIN, after, limit)
        return work._replace(checks=await self._required(project, version, work.checks))

    async def isolated(self, names: Sequence[str]) -> list[str]:
        """Return those of the checks that run in child processes. Each may take minutes."""
        here = await self.checks()
        return [name for name in names if name in here and here[name].reads_file]

    async def check(
        self, project: NormalizedName, version: str, names: list[str], *, downloads: bool = True
    ) -> CheckCounts:
        """Run checks on the held files of a release that are due for them, at most `AT_MOST` files.

        Without `downloads`, no file is compared with a predecessor that would have to be downloaded first, and no file
        is begun after `SHORT` seconds.
        """
        until = math.inf if downloads else time.monotonic() + SHORT
        required = await self._required(project, version, names)
        due = await select_due(self.pool, project, version, required, AGAIN, AT_MOST + 1) if required else []
        known = await files.select_project_files(self.pool, project) if due else []
        found, counts = {item.file.id: item for item in known}, CheckCounts(left=len(due) > AT_MOST)
        for some in batched([one for one in due[:AT_MOST] if one.id in found], PORTION):
            if time.monotonic() > until:
                return replace(counts, left=True)
            portion = await self.reader.load([found[one.id] for one in some], some[0].origin, known)
            done = PortionChecks(self.pool, self.reader, portion, await self.checks(), downloads, until)
            await done.run({one.id: one.checks for one in some})
            counts = CheckCounts(counts.checked + done.checked, counts.faults + done.faults, counts.left or done.left)
        return counts

    async def note_fault(self, project: NormalizedName, version: str, names: list[str], cause: str) -> None:
        """Record a fault of checks for the files that are due for them, at most `AT_MOST` of them."""
        due = await select_due(self.pool, project, version, names, AGAIN, AT_MOST)
        known = await files.select_project_files(self.pool, project) if due else []
        checks = {one.id: one.checks for one in due}
        runs = [
            (item, CheckRun(item.file.id, name, fault=cause[:LONGEST]))
            for item in known
            for name in checks.get(item.file.id, ())
        ]
        if runs:
            await record_runs(self.pool, await projects.select_now(self.pool), runs)

    async def _required(self, project: NormalizedName, version: str, names: Sequence[str]) -> list[str]:
        if not names:
            return []
        rules = await select_project_rules(self.pool, project)
        return [name for name in names if is_required(rules, version, KnownCheck(name, {}))]


async def register_checks(pool: Pool) -> list[str]:
    """Record which checks this worker has; from now on files are held until these are complete. Return their names.

    A worker calls this once at its start. Raises `StartError` if a check cannot be loaded.
    """
    checks = await load()
    codes = {check.name: _codes(check) for check in checks}
    async with pool.acquire() as connection, connection.transaction():
        news = await write_known_checks(connection, codes)
        if news:
            detail: dict[str, object] = {"checks": news}
            await journal.insert_entries(connection, SYSTEM, Event.CHECKS, "*", [Entry(detail=detail)])
    names = [check.name for check in checks]
    missing = [check.name for check in await select_known_checks(pool) if check.name not in names]
    if missing:
        log.warning("checks that were installed before are missing; files are held until they return", checks=missing)
    return names


def _codes(check: Installed) -> Mapping[str, Mapping[str, Any]]:
    return {code: {"what": each.what, "action": str(each.action)} for code, each in check.codes.items()}
