"""Alerts: what somebody should know at once, for those who can decide something about it."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from koschey.auth.permissions import Action
from koschey.db.alerts import NEWEST, select_alerts
from koschey.model import Serial
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import Input, Limit, Position
from koschey.web.context import resources


class AlertsQuery(Input, frozen=True, kw_only=True):
    """Which part of the alerts."""

    before: Annotated[Position, Meta(description="Only those with a smaller number.")] = NEWEST
    limit: Limit = 100


class RaisedAlert(Struct, frozen=True, kw_only=True):
    """One alert; `serial` is that of its cause in the journal."""

    # Not the row of `koschey.db`: these names are a promise to programs, and stay when a column is renamed or added.

    id: int
    kind: str
    project: str | None
    version: str | None
    filename: str | None
    serial: Serial
    at: datetime
    detail: dict[str, Any]
    sent_at: datetime | None


class Alerts(Struct, frozen=True, kw_only=True):
    """A part of the alerts, the newest first."""

    alerts: list[RaisedAlert]


@operation("GET", "/alerts", AlertsQuery, Alerts, needs=Action.DECIDE)
async def read_alerts(call: Call[AlertsQuery]) -> Alerts:
    """Return alerts, the newest first, and when the webhook took each."""
    found = await select_alerts(resources().pool, before=call.sent.before, limit=call.sent.limit)
    return Alerts(alerts=[RaisedAlert(**alert._asdict()) for alert in found])
