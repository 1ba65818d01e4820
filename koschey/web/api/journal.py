"""The journal for programs that follow it: the changes after a serial, for accounts that may make decisions."""

from koschey.auth.permissions import Action
from koschey.governance.journal import Journal, read_journal_after
from koschey.model import Serial
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import JournalQuery
from koschey.web.context import resources


@operation("GET", "/journal", JournalQuery, Journal, needs=Action.AUDIT, overview=True)
async def read_journal(call: Call[JournalQuery]) -> Journal:
    """Return the changes after a serial, the oldest first; serials have no gaps."""
    return await read_journal_after(resources().pool, Serial(call.sent.after), limit=call.sent.limit)
