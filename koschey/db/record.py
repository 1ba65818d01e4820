"""Collects the changes of one transaction, and writes them to the journal in its last statement.

The journal's counter is one row. A transaction that has locked it makes all other writers wait until the commit. So a
transaction does all its other work first: reads, rows, messages. Alerts refer to a row of the journal, and are written
with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from koschey.db import journal
from koschey.db.alerts import sum_up
from koschey.db.journal import Entry, JournalLine, News
from koschey.db.pool import Connection
from koschey.events import AlertKind, Event
from koschey.model import Actor, Serial


@dataclass(slots=True)
class Record:
    """The journal's rows and the alerts of one transaction."""

    connection: Connection
    actor: Actor
    project: str
    """The project of every row that is added without a project."""
    _lines: list[JournalLine] = field(default_factory=list)
    _news: list[News] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing has changed so far."""
        return not self._lines

    @property
    def lines(self) -> Sequence[JournalLine]:
        """The rows so far."""
        return self._lines

    @property
    def is_silent(self) -> bool:
        """Whether no alert has been raised so far."""
        return not self._news

    def add(self, event: Event, entries: Sequence[Entry], *, project: str | None = None) -> None:
        """Add a row for each entry."""
        self._lines += [JournalLine(event, project or self.project, entry) for entry in entries]

    def alert(self, kind: AlertKind, entries: Sequence[Entry]) -> None:
        """Raise alerts about the row that was added last: one for each outcome, however many files there are."""
        number = len(self._lines)
        self._news += [News(number, kind, self._lines[-1].project, entry) for entry in sum_up(entries)]

    async def write(self) -> Serial | None:
        """Write all rows, as the transaction's last statement. Returns the last serial, None if nothing changed."""
        if self.is_empty:
            return None
        return await journal.write_lines(self.connection, self.actor, self._lines, self._news)
