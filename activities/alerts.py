"""The activity that notifies the webhook of an alert."""

from dataclasses import dataclass

from temporalio import activity

from activities.execution import expected_errors
from koschey.addresses import Addresses, panel_journal, panel_project
from koschey.db.alerts import Alert, select_alert, update_sent
from koschey.db.pool import Pool
from koschey.standards.simple_json import format_time
from koschey.upstream.webhook import Webhook


@dataclass(frozen=True)
class AlertActivities:
    """Sends alerts."""

    pool: Pool
    webhook: Webhook | None
    public_url: str

    @activity.defn
    async def send_alert(self, alert_id: int) -> str:
        """Send an alert, unless it was sent before or there is no webhook; return the result in words."""
        alert = await select_alert(self.pool, alert_id)
        if self.webhook is None or alert is None:
            return "not wanted"
        if alert.sent_at is not None:
            return "sent before"
        with expected_errors():
            await self.webhook.send(str(alert.id), render_alert(alert, self.public_url))
        await update_sent(self.pool, alert.id)
        return "sent"


def render_alert(alert: Alert, public_url: str) -> dict[str, object]:
    """Return the body of the webhook's request. It is the same whenever it is sent."""
    place = panel_project(alert.project) if alert.project else panel_journal()
    return {
        "id": alert.id,
        "kind": alert.kind,
        "project": alert.project,
        "version": alert.version,
        "filename": alert.filename,
        "serial": alert.serial,
        "at": format_time(alert.at),
        "detail": alert.detail,
        "url": Addresses(public_url).absolute(place),
    }
