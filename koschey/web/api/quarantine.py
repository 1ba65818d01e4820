"""What waits, a page at a time: for those who can decide something, as in the panel."""

from koschey.auth.permissions import Action
from koschey.db.browse import select_waiting_releases
from koschey.db.journal import select_serial
from koschey.db.requests import select_asked
from koschey.model import State
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import Quarantine, QuarantineQuery, WaitingRelease
from koschey.web.context import resources

WAITING = (State.HELD, State.CONFLICT, State.MALFORMED)


@operation("GET", "/quarantine", QuarantineQuery, Quarantine, needs=Action.DECIDE)
async def read_quarantine(call: Call[QuarantineQuery]) -> Quarantine:
    """Return what waits, until when and why."""
    pool, query = resources().pool, call.sent
    # First of all: what is read after it can only be newer.
    serial = await select_serial(pool)
    found, total = await select_waiting_releases(pool, WAITING, query.project, limit=query.limit, offset=query.offset)
    asked = await select_asked(pool)
    releases = [
        WaitingRelease(**release._asdict(), asked=asked.get((release.project, release.version), 0)) for release in found
    ]
    return Quarantine(serial=serial, total=total, releases=releases)
