"""Lists the releases that are pending in quarantine, a page at a time, for reviewers."""

from datetime import datetime

from msgspec import Struct
from packaging.utils import NormalizedName

from koschey.db.browse import select_projects_like, select_waiting_releases
from koschey.db.journal import select_serial
from koschey.db.pool import Database
from koschey.db.requests import select_request_counts
from koschey.model import Serial, State
from koschey.policy.states import PENDING


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
    releases: list[WaitingRelease]


async def read_quarantine(db: Database, name_part: str | None, *, limit: int, offset: int) -> HeldReleases:
    """Return a part of the pending releases of the projects whose names contain a text, and how many there are."""
    # The serial is read first: data that is read after it can only be newer.
    serial = await select_serial(db)
    found, total = await select_waiting_releases(db, PENDING, name_part, limit=limit, offset=offset)
    requests = await select_request_counts(db)
    releases = [
        WaitingRelease(**release._asdict(), asked=requests.get((release.project, release.version), 0))
        for release in found
    ]
    return HeldReleases(serial=serial, total=total, releases=releases)


async def find_projects(db: Database, name_part: str, *, limit: int) -> list[NormalizedName]:
    """Return the projects whose names contain a text, the shortest first, whether or not a release is pending."""
    return await select_projects_like(db, name_part, limit=limit)
