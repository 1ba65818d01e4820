"""Lists the releases that are pending in quarantine, a page at a time, for reviewers."""

from datetime import datetime

from msgspec import Struct
from packaging.utils import NormalizedName

from koschey.db.browse import select_projects_like
from koschey.db.journal import select_serial
from koschey.db.pending import choose, count_pending, walk_pending
from koschey.db.pool import Database, Pool
from koschey.db.requests import select_request_counts
from koschey.model import Serial, State


class WaitingRelease(Struct, frozen=True, kw_only=True):
    """The files of one release in the same state."""

    project: str
    version: str
    state: State
    files: int
    release_at: datetime | None
    first_seen_at: datetime
    reasons: tuple[str, ...]
    fixes: str | None = None
    """The security fixes that the release contains, as text; None if it contains none."""
    asked: int = 0
    """The number of accounts or addresses that have requested it."""


class HeldReleases(Struct, frozen=True, kw_only=True):
    """A part of the held releases: security fixes first, then those whose windows end first."""

    serial: Serial
    total: int
    """The number of releases, or a smaller number if `at_least` is true."""
    at_least: bool
    """Whether there are more releases than `total`: Koschey counts those of the first 10,000 files."""
    releases: list[WaitingRelease]


class Quarantine:
    """Reads the pending releases. One per process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read(self, name_part: str | None, *, limit: int, offset: int) -> HeldReleases:
        """Return a part of the pending releases of the projects whose names contain a text, and their number."""
        # The serial is read first: data that is read after it can only be newer.
        serial = await select_serial(self._pool)
        wanted = await choose(self._pool, name_part)
        portions = walk_pending(self._pool, wanted, limit=limit, offset=offset)
        found = [release async for portion in portions for release in portion]
        total, at_least = await count_pending(self._pool, wanted)
        if at_least:
            # A client that reads page after page goes on as long as there are pages.
            total = max(total, offset + len(found) + (len(found) == limit))
        requests = await select_request_counts(self._pool, ((each.project, each.version) for each in found))
        releases = [
            WaitingRelease(
                project=each.project,
                version=each.version,
                state=each.state,
                files=each.files,
                release_at=each.release_at,
                first_seen_at=each.first_seen_at,
                reasons=each.reasons,
                fixes=each.fixes,
                asked=requests.get((each.project, each.version), 0),
            )
            for each in found
        ]
        return HeldReleases(serial=serial, total=total, at_least=at_least, releases=releases)


async def find_projects(db: Database, name_part: str, *, limit: int) -> list[NormalizedName]:
    """Return the projects whose names contain a text, the shortest first, whether or not a release is pending."""
    return await select_projects_like(db, name_part, limit=limit)
