"""Applies a reading of the advisory feed: stores advisories, blocks malware, and notifies people of held fixes."""

from collections.abc import Sequence
from dataclasses import dataclass

from koschey.db import advisories, projects
from koschey.db.fast_lane import FastLane, select_recorded_fixes
from koschey.db.journal import Entry
from koschey.db.outbox import insert_messages
from koschey.db.pool import Connection
from koschey.db.record import Record
from koschey.db.waiting import select_held_files
from koschey.events import AlertKind, Event
from koschey.model import SYSTEM, Advisory
from koschey.outbox import ReleaseHeld
from koschey.policy.advisories import Feed, feed_fault
from koschey.quarantine.malware_reports import act_on_reports
from koschey.quarantine.security_fixes import walk_fixes

AT_ONCE = 1000
"""Held files that one statement reads."""


@dataclass(frozen=True, slots=True)
class AdvisoryEffects:
    """How many files were blocked, and of how many security fixes people were notified."""

    blocked: int
    fixes: int


async def write_reading(connection: Connection, found: Sequence[Advisory], etag: str | None, feed: Feed) -> None:
    """Replace the stored advisories with those of the feed, in one transaction."""
    async with connection.transaction():
        state = await advisories.lock_feed(connection)
        await advisories.replace_advisories(connection, found)
        await _wake_waiting(connection, state, feed)
        await advisories.update_read(connection, etag)


async def confirm_reading(connection: Connection, feed: Feed) -> None:
    """Record that the feed has not changed since the stored advisories were read."""
    async with connection.transaction():
        state = await advisories.lock_feed(connection)
        await _wake_waiting(connection, state, feed)
        await advisories.update_confirmed(connection)


async def _wake_waiting(connection: Connection, state: advisories.FeedState, feed: Feed) -> None:
    """Have all held releases settled again if the feed was out of date until now."""
    if feed_fault(feed, state.read_at, await projects.select_now(connection)) is None:
        return
    after = 0
    while held := await select_held_files(connection, after, AT_ONCE):
        releases = {file.release for file in held}
        await insert_messages(connection, (ReleaseHeld(project, version) for project, version in sorted(releases)))
        after = held[-1].id


async def act_on_advisories(connection: Connection) -> AdvisoryEffects:
    """Block malware, and notify people of held security fixes; each once, even after a crash."""
    blocked = 0
    for project in await advisories.select_pending_projects(connection):
        blocked += await act_on_reports(connection, project)
    fixes = 0
    async for fix in walk_fixes(connection):
        fixes += await _alert_fix(connection, fix)
    return AdvisoryEffects(blocked, fixes)


async def _alert_fix(connection: Connection, fix: FastLane) -> bool:
    """Notify people of a held security fix, unless they were notified before; return whether they are now."""
    if fix.advisory in await select_recorded_fixes(connection, fix.project, fix.version):
        # As most are, so their projects need not be locked.
        return False
    async with connection.transaction():
        await projects.lock_project(connection, fix.project)
        if fix.advisory in await select_recorded_fixes(connection, fix.project, fix.version):
            return False
        detail: dict[str, object] = {
            "reason": fix.summary,
            "advisory": fix.advisory,
            "fixes": list(fix.fixes),
            "downloads": fix.downloads,
        }
        entries, record = [Entry(fix.version, None, detail)], Record(connection, SYSTEM, fix.project)
        record.add(Event.SECURITY_FIX_WAITS, entries)
        record.alert(AlertKind.SECURITY_FIX_WAITS, entries)
        await record.write()
        return True
