"""Tells the webhook of an alert, again and again for a day where it does not answer.

The workflow knows the alert's number alone: what happened stands in PostgreSQL, and the address in the settings.
"""

from dataclasses import dataclass

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.alerts import AlertActivities
    from workflows.options import ALERT


@dataclass
class SendAlertInput:
    """Which alert."""

    alert_id: int


@workflow.defn(name="SendAlert")
class SendAlert:
    """See the module."""

    @workflow.run
    async def run(self, given: SendAlertInput) -> str:
        """Return what became of it."""
        sent: str = await workflow.execute_activity_method(AlertActivities.send_alert, given.alert_id, **ALERT)
        return sent
