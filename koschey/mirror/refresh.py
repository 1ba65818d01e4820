"""Looking at an upstream's page: once for all who ask, across all processes, and behind the answer where it can be."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from packaging.utils import NormalizedName

from koschey.concurrency.flights import Flights
from koschey.db import projects
from koschey.db.claims import is_handed_over
from koschey.db.pool import Pool
from koschey.db.rules import select_rules
from koschey.errors import Busy, UpstreamMissing
from koschey.mirror.intake import Intake
from koschey.mirror.leases import Leases
from koschey.model import Origin, Project, UpstreamPage
from koschey.policy.absence import USUALLY
from koschey.policy.advisories import Feed
from koschey.policy.rules import CLOSING, RuleKind
from koschey.upstream.client import UpstreamClient

EVER = datetime.min.replace(tzinfo=UTC)
"""As the moment after which a look is enough: any look at all is."""
LEASE = 60.0
"""Seconds after which a look whose process died may be repeated by another."""
PATIENCE = 25.0
"""Seconds for which a client waits for a first look; clients give up after 30."""
MISSING_FOR = 60.0
"""Seconds for which it is believed that an upstream has no such project."""
RETRY = 10.0
"""Seconds after which requests for files may begin another look at a page, as the one before brought nothing new."""
KEPT = 10_000
"""Names of which such things are remembered at the most."""


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
        self._intake = Intake(pool, window, feed, confirmed_after)
        self._freshness = timedelta(seconds=freshness)
        self._looks = Flights[NormalizedName, Project | None]()
        self._behind = Flights[NormalizedName, Project | None]()
        self._missing: dict[NormalizedName, float] = {}
        self._tried: dict[NormalizedName, float] = {}

    async def find(self, name: NormalizedName) -> Project | None:
        """Return the project: known, or looked up now, or None where the upstream has none.

        A look that is too old is repeated in the background. Raises `UpstreamError` or `Busy` where a name that was
        never seen cannot be looked up, or not in time: then the look goes on behind the answer.
        """
        project = await projects.select_project(self._pool, name)
        if project is None and (self._is_missing(name) or await self._is_closed(name)):
            return None
        if project is None or _is_half_taken(project):
            return await self._find_first(name)
        if project.origin is Origin.MIRRORED and not self._is_fresh(project, now := await self._now()):
            self._look_behind(name, now)
        return project

    def find_behind(self, name: NormalizedName) -> None:
        """Look in the background, if the last look is too old."""
        self._behind.begin(name, lambda: self.find(name))

    def keep_fresh(self, project: Project, now: datetime) -> None:
        """Look in the background, if the last look is too old, for who has the project at hand: this asks nothing."""
        is_due = project.origin is Origin.MIRRORED and not self._is_fresh(project, now)
        if is_due and self._tried.get(project.name, 0.0) <= time.monotonic():
            _remember(self._tried, project.name, RETRY)
            self._look_behind(project.name, now)

    async def look(self, name: NormalizedName, *, since: datetime | None = None) -> Project | None:
        """Look at the upstream's page now and return the project, or None where the upstream has none.

        With `since`, a look by anybody after that moment is enough. Raises `UpstreamError` or `Busy`.
        """
        return await self._looks.join(name, lambda: self._look_once(name, since))

    async def close(self) -> None:
        """Wait for no look any more."""
        await self._behind.close()
        await self._looks.close()

    async def _find_first(self, name: NormalizedName) -> Project | None:
        try:
            async with asyncio.timeout(PATIENCE) as patience:
                project = await self.look(name, since=EVER)
        except TimeoutError:
            if not patience.expired():
                raise
            raise Busy(f"the upstream's page of {name} is still on its way; try again soon") from None
        if project is not None and _is_half_taken(project) and not await self._is_reserved(name):
            raise Busy(f"the upstream's page of {name} was not read to its end, and is not there now")
        return project

    def _look_behind(self, name: NormalizedName, now: datetime) -> None:
        """Repeat the look in the background; a failure leaves what is known as it is."""
        self._looks.begin(name, lambda: self._look_once(name, now - self._freshness))

    async def _look_once(self, name: NormalizedName, since: datetime | None) -> Project | None:
        begun = await self._now()
        async with self._leases.hold(f"page/{name}", LEASE, f"the upstream's page of {name}"):
            project = await projects.select_project(self._pool, name)
            if project and project.looked_at and project.looked_at >= (since or begun):
                return project
            if project and (project.origin is Origin.HOSTED or await self._is_reserved(name)):
                return project
            return await self._fetch(name, project)

    async def _fetch(self, name: NormalizedName, project: Project | None) -> Project | None:
        read_at = await self._now()
        try:
            page = await self._upstream.fetch_page(name, _known_etag(project))
        except UpstreamMissing:
            # What was released stays; what is held will not be released by time.
            page = UpstreamPage(files=())
        if page is None:
            assert project is not None
            await projects.update_looked_at(self._pool, project.id, read_at)
        elif project is None and page.is_empty:
            # Some indexes have a page for every name that anybody asks for.
            _remember(self._missing, name, MISSING_FOR)
            return None
        elif project is not None and page.is_empty and await self._is_begun(project):
            # What was never there as a whole cannot be missed.
            return project
        else:
            await self._intake.take_in(name, page, read_at)
        return await projects.select_project(self._pool, name)

    async def _is_begun(self, project: Project) -> bool:
        """Tell whether the first look at a project has begun and not ended; one that changed hands has had others."""
        return _is_half_taken(project) and not await is_handed_over(self._pool, project.id)

    async def _now(self) -> datetime:
        return await projects.select_now(self._pool)

    async def _is_closed(self, name: NormalizedName) -> bool:
        """Tell whether no upstream may be asked for a name that is not known here."""
        rules = await select_rules(self._pool, name)
        return rules.find_whole(*CLOSING) is not None

    async def _is_reserved(self, name: NormalizedName) -> bool:
        """Tell whether the upstream of a mirrored name is no longer asked for it."""
        return (await select_rules(self._pool, name)).find_whole(RuleKind.RESERVED) is not None

    def _is_fresh(self, project: Project, now: datetime) -> bool:
        return project.looked_at is not None and now - project.looked_at < self._freshness

    def _is_missing(self, name: NormalizedName) -> bool:
        return self._missing.get(name, 0.0) > time.monotonic()


def _known_etag(project: Project | None) -> str | None:
    """Return the ETag of what is known; none while an absence is suspected, for an unchanged page is news then."""
    return project.upstream_etag if project and project.recheck_at is None else None


def _is_half_taken(project: Project) -> bool:
    """Tell whether no look at a project has ended: what is there of its page so far must not look like all of it."""
    return project.origin is Origin.MIRRORED and project.looked_at is None


def _remember(until: dict[NormalizedName, float], name: NormalizedName, seconds: float) -> None:
    if len(until) >= KEPT:
        until.clear()
    until[name] = time.monotonic() + seconds
