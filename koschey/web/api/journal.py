"""The journal for programs that follow it: what came after a serial, for those who can decide something."""

from koschey.auth.permissions import Action
from koschey.db.browse import select_journal_after
from koschey.db.journal import select_serial
from koschey.model import Serial
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import Journal, JournalEntry, JournalQuery
from koschey.web.context import resources


@operation("GET", "/journal", JournalQuery, Journal, needs=Action.DECIDE)
async def read_journal(call: Call[JournalQuery]) -> Journal:
    """Return what changed after a serial, the oldest first; serials have no gaps."""
    pool, query = resources().pool, call.sent
    entries = await select_journal_after(pool, Serial(query.after), limit=query.limit)
    return Journal(serial=await select_serial(pool), entries=[JournalEntry(**entry._asdict()) for entry in entries])
