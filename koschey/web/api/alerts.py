"""Alerts: facts that need attention at once, for accounts that may make decisions."""

from typing import Annotated

from msgspec import Meta, Struct

from koschey.auth.permissions import Action
from koschey.quarantine import attention
from koschey.quarantine.attention import RaisedAlert
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import MAX_POSITION, Input, Limit, Position
from koschey.web.context import resources


class AlertsQuery(Input, frozen=True, kw_only=True):
    """Which part of the alerts."""

    before: Annotated[Position, Meta(description="Only alerts with a smaller number.")] = MAX_POSITION
    limit: Limit = 100


class Alerts(Struct, frozen=True, kw_only=True):
    """A part of the alerts, the newest first."""

    alerts: list[RaisedAlert]


@operation("GET", "/alerts", AlertsQuery, Alerts, needs=Action.AUDIT, overview=True)
async def read_alerts(call: Call[AlertsQuery]) -> Alerts:
    """Return alerts, the newest first, and when the webhook received each."""
    query = call.sent
    return Alerts(alerts=await attention.read_alerts(resources().pool, before=query.before, limit=query.limit))
