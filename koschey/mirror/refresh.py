"""Refreshes an upstream's page: once for all callers in all processes, and in the background if possible."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from packaging.utils import NormalizedName

from koschey.concurrency.flights import Flights
from koschey.db import projects
from koschey.db.claims import is_handed_over
from koschey.db.pool import Pool
from koschey.db.project_views import ProjectView, acquire_view, select_view
from koschey.db.refreshes import write_unchanged
from koschey.db.rules import select_rules
from koschey.errors import Busy, UpstreamMissing
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
        self._refreshes = Flights[NormalizedName, Project | None]()
        self._behind = Flights[NormalizedName, Project | None]()
        self._missing: dict[NormalizedName, float] = {}
        self._tried: dict[NormalizedName, float] = {}

    async def find(self, name: NormalizedName) -> Project | None:
        """Return the project from its row or after a first refresh.

        Returns None if the upstream has no such project, or if a rule closes a name that is not in the database. A
        stale project is refreshed in the background. Raises `UpstreamError` if the first refresh fails, and `Busy` if
        it does not complete in time: it then continues in the background.
        """
        project, rules, now = await select_view(self._pool, name)
        if project is None and (self._is_missing(name) or rules.find_project_wide(*CLOSING)):
            return None
        if project is None or _is_never_refreshed(project):
            return await self._find_first(name)
        if project.origin is Origin.MIRRORED and not self._is_fresh(project, now):
            self._refresh_in_background(name, now)
        return project

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
        return await self._refreshes.join(name, lambda: self._refresh_once(name, since))

    async def close(self) -> None:
        """Cancel all refreshes and wait for their end."""
        await self._behind.close()
        await self._refreshes.close()

    async def _find_first(self, name: NormalizedName) -> Project | None:
        try:
            async with asyncio.timeout(PATIENCE) as patience:
                project = await self.refresh(name, since=EVER)
        except TimeoutError:
            if not patience.expired():
                raise
            raise Busy(f"the upstream's page of {name} is still being downloaded; try again soon") from None
        if project is not None and _is_never_refreshed(project) and not await self._is_reserved(name):
            raise Busy(f"the upstream's page of {name} was read only in part, and now it is missing; try again soon")
        return project

    def _refresh_in_background(self, name: NormalizedName, now: datetime) -> None:
        """Repeat the refresh in the background; a failure leaves the rows as they are."""
        self._refreshes.begin(name, lambda: self._refresh_once(name, now - self._freshness))

    async def _refresh_once(self, name: NormalizedName, since: datetime | None) -> Project | None:
        since = since or await projects.select_now(self._pool)
        acquire, key = partial(acquire_view, name), f"page/{name}"
        async with self._leases.hold_by(acquire, key, LEASE, f"the upstream's page of {name}") as holding:
            project, rules, _ = holding.found
            if project and project.looked_at and project.looked_at >= since:
                return project
            if project and (project.origin is Origin.HOSTED or rules.find_project_wide(RuleKind.RESERVED)):
                return project
            return await self._fetch(name, holding)

    async def _fetch(self, name: NormalizedName, holding: Holding[ProjectView]) -> Project | None:
        """Request the page and apply it. The transaction that ends the refresh also releases the lease."""
        project, _, read_at = holding.found
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
            project, holding.is_released = await self._intake.apply_page(name, page, read_at, project, holding.lease)
        return project

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
