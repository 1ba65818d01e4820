"""Refreshes an upstream's page: once for all callers in all processes, and in the background if possible."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

from packaging.utils import NormalizedName

from koschey.concurrency.flights import Flights
from koschey.db import projects
from koschey.db.claims import is_handed_over
from koschey.db.pool import Pool
from koschey.db.project_views import ProjectView, acquire_view, select_or_acquire, select_view
from koschey.db.refreshes import write_unchanged
from koschey.db.rules import select_rules
from koschey.errors import Busy, UpstreamMissing
from koschey.mirror.first_page import Sight
from koschey.mirror.intake import PageIntake
from koschey.mirror.leases import Holding, Leases
from koschey.model import Origin, Project, UpstreamPage
from koschey.policy.absence import USUALLY
from koschey.policy.advisories import Feed
from koschey.policy.rules import CLOSING, RuleKind
from koschey.upstream.client import UpstreamClient

EVER = datetime.min.replace(tzinfo=UTC)
"""As `since`: a refresh at any time is recent enough."""
LEASE = 60.0
"""Seconds after which another process may repeat a refresh whose process died."""
PATIENCE = 25.0
"""Seconds for which a client waits for a first refresh; clients give up after 30."""
MISSING_FOR = 60.0
"""Seconds for which a process remembers that an upstream has no such project."""
RETRY = 10.0
"""Seconds after which requests for files may start another refresh of a page that is still stale."""
MAX_REMEMBERED = 10_000
"""Maximum number of names that are remembered as missing, and of names that are remembered as tried."""


class Found(NamedTuple):
    """A project after a refresh, or as it was found."""

    project: Project | None
    """None if there is no such project."""
    sight: Sight | None = None
    """The project with its files, if the refresh has just added it."""


class Refresher:
    """Keeps mirrored projects' rows fresh. One per process."""

    def __init__(
        self,
        pool: Pool,
        upstream: UpstreamClient,
        leases: Leases,
        *,
        window: timedelta,
        freshness: float,
        feed: Feed | None = None,
        confirmed_after: Sequence[timedelta] = USUALLY,
    ) -> None:
        self._pool = pool
        self._upstream = upstream
        self._leases = leases
        self._intake = PageIntake(pool, window, feed, confirmed_after)
        self._freshness = timedelta(seconds=freshness)
        self._refreshes = Flights[NormalizedName, Found]()
        self._looks = Flights[NormalizedName, tuple[ProjectView, Found | None]]()
        self._behind = Flights[NormalizedName, Project | None]()
        self._missing: dict[NormalizedName, float] = {}
        self._tried: dict[NormalizedName, float] = {}

    async def find(self, name: NormalizedName) -> Project | None:
        """Return the project from its row or after a first refresh.

        Returns None if the upstream has no such project, or if a rule closes a name that is not in the database. A
        stale project is refreshed in the background. Raises `UpstreamError` if the first refresh fails, and `Busy` if
        it does not complete in time: it then continues in the background.
        """
        return (await self.see(name)).project

    async def see(self, name: NormalizedName) -> Found:
        """Do as `find`, and also return the files of a project that was added meanwhile."""
        if self._looks.is_under_way(name) or not (self._is_missing(name) or self._leases.is_held(_key(name))):
            view, added = await self._wait(name, self._looks.join(name, lambda: self._look(name)))
            if added is not None:
                return added
        else:
            view = await select_view(self._pool, name)
        project, now = view.project, view.now
        if project is None and (self._is_missing(name) or view.rules.find_project_wide(*CLOSING)):
            return Found(None)
        if project is None or _is_never_refreshed(project):
            return await self._find_first(name)
        if project.origin is Origin.MIRRORED and not self._is_fresh(project, now):
            self._refresh_in_background(name, now)
        return Found(project)

    def find_in_background(self, name: NormalizedName) -> None:
        """Refresh a project in the background if it is stale."""
        self._behind.begin(name, lambda: self.find(name))

    def keep_fresh(self, project: Project, now: datetime) -> None:
        """Refresh a project in the background if it is stale. The caller has its row, so this queries nothing."""
        is_due = project.origin is Origin.MIRRORED and not self._is_fresh(project, now)
        if is_due and self._tried.get(project.name, 0.0) <= time.monotonic():
            _remember(self._tried, project.name, RETRY)
            self._refresh_in_background(project.name, now)

    async def refresh(self, name: NormalizedName, *, since: datetime | None = None) -> Project | None:
        """Refresh the upstream's page now. Returns the project, or None if the upstream has no such project.

        With `since`, a refresh by any process after that time is enough. Raises `UpstreamError` or `Busy`.
        """
        return (await self._refresh(name, since)).project

    async def close(self) -> None:
        """Cancel all refreshes and wait for their end."""
        await self._behind.close()
        await self._looks.close()
        await self._refreshes.close()

    async def _refresh(self, name: NormalizedName, since: datetime | None) -> Found:
        return await self._refreshes.join(name, lambda: self._refresh_once(name, since))

    async def _look(self, name: NormalizedName) -> tuple[ProjectView, Found | None]:
        """Read a project. If it is not in the database and no other process fetches its page, also fetch that.

        Returns the project before, and in the second case the project after that.
        """
        async with self._leases.hold_if_needed(partial(select_or_acquire, name), _key(name), LEASE) as holding:
            view = holding.found
            if holding.is_released or view.rules.find_project_wide(*CLOSING):
                return view, None
            return view, await self._fetch(name, holding)

    async def _wait[T](self, name: NormalizedName, work: Awaitable[T]) -> T:
        """Return the result of a first refresh. Raises `Busy` if it takes too long."""
        try:
            async with asyncio.timeout(PATIENCE) as patience:
                return await work
        except TimeoutError:
            if not patience.expired():
                raise
            raise Busy(f"the upstream's page of {name} is still being downloaded; try again soon") from None

    async def _find_first(self, name: NormalizedName) -> Found:
        found = await self._wait(name, self._refresh(name, EVER))
        project = found.project
        if project is not None and _is_never_refreshed(project) and not await self._is_reserved(name):
            raise Busy(f"the upstream's page of {name} was read only in part, and now it is missing; try again soon")
        return found

    def _refresh_in_background(self, name: NormalizedName, now: datetime) -> None:
        """Repeat the refresh in the background; a failure leaves the rows as they are."""
        self._refreshes.begin(name, lambda: self._refresh_once(name, now - self._freshness))

    async def _refresh_once(self, name: NormalizedName, since: datetime | None) -> Found:
        since = since or await projects.select_now(self._pool)
        what = f"the upstream's page of {name}"
        async with self._leases.hold_by(partial(acquire_view, name), _key(name), LEASE, what) as holding:
            project, rules = holding.found.project, holding.found.rules
            if project and project.looked_at and project.looked_at >= since:
                return Found(project)
            if project and (project.origin is Origin.HOSTED or rules.find_project_wide(RuleKind.RESERVED)):
                return Found(project)
            return await self._fetch(name, holding)

    async def _fetch(self, name: NormalizedName, holding: Holding[ProjectView]) -> Found:
        """Request the page and apply it. The transaction that ends the refresh also releases the lease."""
        project, read_at = holding.found.project, holding.found.now
        try:
            page = await self._upstream.fetch_page(name, _known_etag(project))
        except UpstreamMissing:
            # Released files stay released; held files are not released automatically.
            page = UpstreamPage(files=())
        if page is None:
            assert project is not None
            project = await write_unchanged(self._pool, project.id, read_at, holding.lease)
            holding.is_released = True
        elif project is None and page.is_empty:
            # Some indexes have a page for every name that a client requests.
            _remember(self._missing, name, MISSING_FOR)
        elif project is None or not page.is_empty or not await self._is_begun(project):
            # Otherwise: a page that was never read to its end cannot be missing.
            applied = await self._intake.apply_page(name, page, holding.found, holding.lease)
            holding.is_released = applied.is_released
            return Found(applied.project, applied.sight)
        return Found(project)

    async def _is_begun(self, project: Project) -> bool:
        """Return whether the first refresh of a project has begun but not completed.

        A project that changed hands has been refreshed before.
        """
        return _is_never_refreshed(project) and not await is_handed_over(self._pool, project.id)

    async def _is_reserved(self, name: NormalizedName) -> bool:
        """Return whether a mirrored name is reserved, so that it is no longer requested from its upstream."""
        return (await select_rules(self._pool, name)).find_project_wide(RuleKind.RESERVED) is not None

    def _is_fresh(self, project: Project, now: datetime) -> bool:
        return project.looked_at is not None and now - project.looked_at < self._freshness

    def _is_missing(self, name: NormalizedName) -> bool:
        return self._missing.get(name, 0.0) > time.monotonic()


def _key(name: NormalizedName) -> str:
    """Return the key of the lease on an upstream's page."""
    return f"page/{name}"


def _known_etag(project: Project | None) -> str | None:
    """Return the ETag of the stored page.

    Returns None while an absence is suspected, because even an unchanged page is news then.
    """
    return project.upstream_etag if project and project.recheck_at is None else None


def _is_never_refreshed(project: Project) -> bool:
    """Return whether no refresh of a mirrored project has completed.

    The rows written so far must not be served as the whole page.
    """
    return project.origin is Origin.MIRRORED and project.looked_at is None


def _remember(until: dict[NormalizedName, float], name: NormalizedName, seconds: float) -> None:
    if len(until) >= MAX_REMEMBERED:
        until.clear()
    until[name] = time.monotonic() + seconds
