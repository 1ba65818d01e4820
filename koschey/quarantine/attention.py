"""What needs the attention of people: alerts, decisions that need a second person, requests, and expiring exceptions.

Each of them is one struct, which the API answers and the command line prints. Its field names are a promise to
programs: they stay when a column is renamed or added.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from koschey.db.alerts import NEWEST, select_alerts
from koschey.db.pool import Database
from koschey.db.projects import select_now
from koschey.db.proposals import select_open_proposals
from koschey.db.requests import select_requests
from koschey.db.rules import select_exceptions
from koschey.model import Serial
from koschey.policy.rules import Rule


class RaisedAlert(Struct, frozen=True, kw_only=True):
    """One alert; `serial` is that of its cause in the journal."""

    id: int
    kind: str
    project: str | None
    version: str | None
    filename: str | None
    serial: Serial
    at: datetime
    detail: dict[str, Any]
    sent_at: datetime | None


class OpenProposal(Struct, frozen=True, kw_only=True):
    """A decision of one person. It is active once another person decides the same about the same bytes."""

    action: str
    project: str
    version: str | None
    digests: list[str]
    reason: str
    ticket: str | None
    expires_at: datetime | None
    actor: str
    door: str
    at: datetime | None


class OpenRequest(Struct, frozen=True, kw_only=True):
    """A request that nobody has answered."""

    project: str
    version: str
    who: str
    reason: str
    times: int
    at: datetime
    last_at: datetime


class FileException(Struct, frozen=True, kw_only=True):
    """Bytes that are served although they are held: until when, and who requested that."""

    project: str
    version: str | None
    filename: str
    sha256: str
    expires_at: datetime | None
    actor: str
    seconded_by: str | None
    ticket: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Attention:
    """The alerts, proposals and requests that the panel shows on one page."""

    alerts: Sequence[RaisedAlert]
    proposals: Sequence[OpenProposal]
    requests: Sequence[OpenRequest]


async def read_attention(db: Database, *, before: int | None, limit: int) -> Attention:
    """Return a part of the alerts, and all open proposals and requests."""
    return Attention(
        await read_alerts(db, before=before, limit=limit), await read_proposals(db), await read_requests(db)
    )


async def read_alerts(db: Database, *, before: int | None = None, limit: int = 100) -> list[RaisedAlert]:
    """Return alerts, the newest first; with `before` only those with a smaller ID."""
    found = await select_alerts(db, before=NEWEST if before is None else before, limit=limit)
    return [RaisedAlert(**alert._asdict()) for alert in found]


async def read_proposals(db: Database) -> list[OpenProposal]:
    """Return the decisions that need a second person, the oldest first."""
    return [OpenProposal(**proposal._asdict()) for proposal in await select_open_proposals(db)]


async def read_requests(db: Database) -> list[OpenRequest]:
    """Return the requests that nobody has answered, the most recent first."""
    return [OpenRequest(**request._asdict()) for request in await select_requests(db)]


async def read_exceptions(db: Database, within_days: float | None = None) -> list[FileException]:
    """Return the active exceptions, the next to expire first; or only those that expire within so many days."""
    until = await select_now(db) + timedelta(days=within_days) if within_days is not None else None
    return [_exception(rule) for rule in await select_exceptions(db, until)]


def _exception(rule: Rule) -> FileException:
    return FileException(
        project=rule.scope,
        version=rule.version,
        filename=rule.subject,
        sha256=rule.value,
        expires_at=rule.expires_at,
        actor=rule.actor,
        seconded_by=rule.seconded_by,
        ticket=rule.ticket,
        reason=rule.reason,
    )
