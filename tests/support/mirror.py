"""A mirror without processes: a real upstream over the wire, real PostgreSQL, and a clock that stands still.

Tests call the functions by which a web process serves a page and a worker handles a release. No bytes are downloaded:
`Mirror.store` only records that they are stored.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from packaging.utils import NormalizedName

from koschey.addresses import Addresses
from koschey.db import files
from koschey.db.pool import Pool
from koschey.db.rules import write_rule
from koschey.mirror.leases import Leases
from koschey.mirror.refresh import Refresher
from koschey.model import Actor, StandingFile, State
from koschey.policy.absence import USUALLY
from koschey.policy.advisories import Feed
from koschey.policy.rules import UPSTREAM, Rule, RuleKind
from koschey.quarantine.decide import Choice, Decision, decide
from koschey.quarantine.settle import Settlement, settle
from koschey.serving.served import Served
from koschey.settings.private_hosts import NO_HOSTS
from koschey.standards.project_page import ProjectPage
from koschey.upstream.client import UpstreamClient
from koschey.upstream.egress import Egress
from tests.support.postgres import set_clock
from tests.support.rows import NOON, WEEK, select_files
from tests.support.upstream.server import Upstream

MIB = 2**20
A_MOMENT = timedelta(seconds=1)
DAY = timedelta(days=1)


@dataclass
class Mirror:
    """An index over one upstream. A test advances its time."""

    pool: Pool
    upstream: Upstream
    refresher: Refresher
    feed: Feed | None = None
    now: datetime = field(default=NOON)

    async def at(self, moment: datetime) -> None:
        """Set the clock to a moment."""
        self.now = moment
        await set_clock(self.pool, moment)

    async def wait(self, span: timedelta) -> None:
        """Advance the clock."""
        await self.at(self.now + span)

    async def refresh(self, name: str) -> dict[str, StandingFile]:
        """Refresh the upstream's page a moment later; return all files of the project."""
        await self.wait(A_MOMENT)
        await self.refresher.refresh(NormalizedName(name))
        return await self.files(name)

    async def confirm(self, name: str) -> dict[str, StandingFile]:
        """Refresh the page whenever a refresh is due, until an absence that was just noticed is confirmed."""
        for span in pairwise((timedelta(0), *USUALLY)):
            await self.wait(span[1] - span[0])
            await self.refresh(name)
        return await self.files(name)

    async def files(self, name: str) -> dict[str, StandingFile]:
        """All files of a project by their names."""
        return await select_files(self.pool, NormalizedName(name))

    async def states(self, name: str) -> dict[str, State]:
        """The states of a project's files by their names."""
        return {filename: item.standing.state for filename, item in (await self.files(name)).items()}

    async def served(self, name: str) -> list[str]:
        """The filenames that the page lists now."""
        return [file.filename for file in (await self.page(name)).files]

    async def page(self, name: str) -> ProjectPage:
        """The page from which all forms are rendered."""
        page = await Served(self.pool, Addresses("https://index.example.org"), self.upstream.url, WEEK).load(
            NormalizedName(name)
        )
        assert page is not None
        return page

    async def store(self, name: str) -> None:
        """Record for every file of a project that its bytes are stored."""
        async with self.pool.acquire() as connection:
            for item in (await self.files(name)).values():
                file = item.file
                if file.sha256 and file.path and not file.stored_at:
                    await files.update_stored(connection, file.id, file.sha256, file.size or 0, file.path)

    async def settle(self, name: str, version: str = "1.0") -> Settlement:
        """Settle a release, and refresh the upstream's page if that is required, as the worker does."""
        for _ in range(2):
            async with self.pool.acquire() as connection:
                settlement = await settle(connection, NormalizedName(name), version, WEEK, self.feed)
            if not settlement.needs_refresh:
                break
            await self.refresh(name)
        return settlement

    async def decide(self, choice: Choice, name: str, version: str | None = "1.0", person: str = "ada") -> None:
        """Carry out a reviewer's decision."""
        async with self.pool.acquire() as connection:
            await decide(connection, Actor(person, "cli"), Decision(choice, NormalizedName(name), version, "because"))

    async def rule(self, kind: RuleKind, value: str = "", scope: str = UPSTREAM, subject: str = "") -> None:
        """Activate a rule."""
        async with self.pool.acquire() as connection:
            await write_rule(connection, Rule(kind, None, "a test", "ada", scope, subject=subject, value=value))

    async def alerts(self, kind: str) -> Sequence[Any]:
        """The alerts of a kind, oldest first."""
        query = "SELECT project, version, filename, detail FROM alert WHERE kind = $1 ORDER BY id"
        rows: Sequence[Any] = await self.pool.fetch(query, kind)
        return rows

    async def wanted(self) -> set[str]:
        """The keys of all messages in the outbox."""
        return {row["key"] for row in await self.pool.fetch("SELECT key FROM outbox")}

    async def actions(self, filename: str) -> list[str]:
        """The journal's actions about a file."""
        rows = await self.pool.fetch("SELECT action FROM journal WHERE filename = $1 ORDER BY serial", filename)
        return [row["action"] for row in rows]


@asynccontextmanager
async def mirroring(pool: Pool, upstream: Upstream, feed: Feed | None = None) -> AsyncIterator[Mirror]:
    """Run a mirror until the block ends."""
    await set_clock(pool, NOON)
    egress = Egress(NO_HOSTS.with_urls([upstream.url]))
    client = UpstreamClient(egress, upstream.url, max_page=40 * MIB, max_file=100 * MIB)
    refresher = Refresher(pool, client, Leases(pool), window=WEEK, freshness=600, feed=feed)
    try:
        yield Mirror(pool, upstream, refresher, feed)
    finally:
        await refresher.close()
        await egress.close()
