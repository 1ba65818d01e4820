"""Notifies the webhook of an alert; retries for a day if it does not answer.

The workflow has only the alert's number: PostgreSQL has what happened, and the settings have the address.
"""

from dataclasses import dataclass

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.alerts import AlertActivities
    from workflows.options import ALERT


@dataclass
class SendAlertInput:
    """The alert to send."""

    alert_id: int


@workflow.defn(name="SendAlert")
class SendAlert:
    """Sends one alert to the webhook."""

    @workflow.run
    async def run(self, given: SendAlertInput) -> str:
        """Return the result in words."""
        sent: str = await workflow.execute_activity_method(AlertActivities.send_alert, given.alert_id, **ALERT)
        return sent
