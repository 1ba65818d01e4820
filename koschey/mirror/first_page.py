"""Applies the first page of a project in one statement, because a client waits for it.

What decides about the files is read together with the lease, before the page is requested. The statement that writes
them compares it, and writes nothing if it has changed. Then, and for every page of which more than files is written,
`koschey.mirror.intake` applies the page under the lock on the project.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import NamedTuple

import structlog
from packaging.utils import NormalizedName

from koschey.db.first_pages import FirstPage, Written, write_first_page
from koschey.db.journal import Entry
from koschey.db.leases import Lease
from koschey.db.policies import policy_of
from koschey.db.pool import PASSING, Connection, Pool
from koschey.db.project_views import ProjectView
from koschey.db.record import Record
from koschey.db.refreshes import Facts
from koschey.events import Event
from koschey.mirror import news, portions
from koschey.mirror.new_files import Additions
from koschey.mirror.portions import Portion, PortionTransaction
from koschey.model import SYSTEM, Origin, Project, ProjectId, ProjectStatus, Serial, StandingFile, UpstreamPage
from koschey.policy.advisories import Feed

log = structlog.get_logger()


class Sight(NamedTuple):
    """A project as the transaction that added it left it: what a statement would read at that moment."""

    begun: float
    """When the transaction began or before, by `time.monotonic`."""
    view: ProjectView
    files: Sequence[StandingFile]
    """In the order of their first sight."""
    writer: int | None = None
    """The process id of the connection that wrote it, if one statement wrote all of it."""


class Part(NamedTuple):
    """What one transaction of several wrote of a page."""

    after: Project
    sight: Sight | None = None
    """The project after it, with the files that it added, if the page is a first one."""
    before: Serial | None = None
    """The serial of the project before it; None if it added the project."""


def join_parts(parts: Sequence[Part]) -> Sight | None:
    """Return what several transactions wrote together. Returns None if another one changed the project in between."""
    files: list[StandingFile] = []
    serial: Serial | None = None
    for part in parts:
        if part.sight is None or part.before != serial:
            return None
        serial = part.after.serial
        files += part.sight.files
    return parts[-1].sight._replace(files=files) if parts[-1].sight else None


@dataclass(frozen=True, slots=True)
class FirstPages:
    """Adds projects with the files of their first pages."""

    pool: Pool
    window: timedelta
    feed: Feed | None

    async def write(self, name: NormalizedName, page: UpstreamPage, view: ProjectView, lease: Lease) -> Sight | None:
        """Add a project; `view` was read with the lease. Returns None if the intake must apply the page instead."""
        if view.first is None or not _is_plain(page):
            return None
        try:
            async with self.pool.acquire() as connection:
                begun = time.monotonic()
                transaction = _transaction(connection, _new_project(name), page, view)
                written = await self._write(transaction, page, view.first.digest, lease)
                writer = connection.get_server_pid()
        except PASSING as error:
            log.info("a first page is written under the lock on its project", project=name, error=repr(error))
            return None
        if written is None:
            return None
        return Sight(begun, _view_after(transaction, page, view, written), written.files, writer)

    async def _write(
        self, transaction: PortionTransaction, page: UpstreamPage, digest: str, lease: Lease
    ) -> Written | None:
        project, record = transaction.project, transaction.record
        rows = await Additions(transaction, (), self.window, self.feed).judge(page.files, returned=False)
        news.record_status_change(transaction, page)
        if record.is_empty:
            record.add(Event.CREATE_PROJECT, [Entry()])
        now, lines = transaction.now, record.lines
        first = FirstPage(project.name, page, now, rows.files, rows.messages, lines, SYSTEM, lease)
        return await write_first_page(transaction.connection, first, digest)


def _is_plain(page: UpstreamPage) -> bool:
    """Return whether one transaction may write all of a first page, and writes nothing besides files and its status."""
    is_short = len(page.files) <= portions.PORTION
    return is_short and not page.left_out_count and page.status is not ProjectStatus.QUARANTINED


def _new_project(name: NormalizedName) -> Project:
    """Return a mirrored project as it is before its first page has been read. It has no row."""
    return Project(
        id=ProjectId(0),
        name=name,
        display_name=name,
        origin=Origin.MIRRORED,
        status=ProjectStatus.ACTIVE,
        status_reason=None,
        serial=Serial(0),
        upstream_etag=None,
        looked_at=None,
    )


def _transaction(connection: Connection, project: Project, page: UpstreamPage, view: ProjectView) -> PortionTransaction:
    assert view.first is not None
    facts = Facts(
        policy=policy_of(project, view.rules, view.first.checks),
        advisories=view.first.advisories,
        feed_read_at=view.first.feed_read_at,
        is_estranged=False,
        existing=frozenset(),
        # A constraint refuses paths that belong to another project, and the intake finds out which.
        used_paths=frozenset(),
        used_names={},
    )
    portion = Portion(new=page.files, is_first=True, is_last=True)
    return PortionTransaction(connection, project, view.now, Record(connection, SYSTEM, project.name), portion, facts)


def _view_after(
    transaction: PortionTransaction, page: UpstreamPage, view: ProjectView, written: Written
) -> ProjectView:
    project = replace(
        transaction.project,
        id=written.project,
        serial=written.serial,
        status=page.status,
        status_reason=page.status_reason,
        upstream_etag=page.etag,
        looked_at=transaction.now,
    )
    return view._replace(project=project, now=written.now)
