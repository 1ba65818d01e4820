"""The pending releases, a page at a time: for accounts that may make decisions, as in the panel."""

from koschey.auth.permissions import Action
from koschey.quarantine.waiting_releases import HeldReleases
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import QuarantineQuery
from koschey.web.context import resources


@operation("GET", "/quarantine", QuarantineQuery, HeldReleases, needs=Action.AUDIT, overview=True)
async def read_quarantine(call: Call[QuarantineQuery]) -> HeldReleases:
    """Return held releases, until when they are held, and why."""
    query = call.sent
    return await resources().quarantine.read(query.project, limit=query.limit, offset=query.offset)
