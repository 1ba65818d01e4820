"""Renders the signal that a reviewer sends to Temporal, for its UI and as commands for `temporal` and older `tctl`."""

import json
from collections.abc import Sequence

from koschey.model import quarantine_id
from koschey.quarantine.decision import Choice
from koschey.quarantine.reviewer_codes import IssuedCode
from koschey.quarantine.shown_releases import ShownRelease
from koschey.texts import shell_line

SIGNALS = {Choice.APPROVE: "approve", Choice.BLOCK: "reject", Choice.EXTEND: "extend"}
"""The signal of each choice."""
REASON = "WHY"
"""Placeholder for a reason that the reviewer has yet to write."""


def signal_lines(issued: IssuedCode, reason: str = "") -> list[str]:
    """Return one command for each tool; all commands send the same signal."""
    signal, given = SIGNALS[issued.choice], signal_input(issued, reason)
    if len(issued.releases) == 1:
        workflow = quarantine_id(issued.releases[0].project, issued.releases[0].version)
        return [
            shell_line("temporal", "workflow", "signal", "--workflow-id", workflow, "--name", signal, "--input", given),
            shell_line("tctl", "workflow", "signal", "--workflow_id", workflow, "--name", signal, "--input", given),
        ]
    # Temporal lists each batch with its reason on one line.
    rest = ("--input", given, "--reason", " ".join(reason.split()) or REASON, "--yes")
    query = _query(issued.releases)
    return [
        shell_line("temporal", "workflow", "signal", "--query", query, "--name", signal, *rest),
        shell_line(
            "tctl", "batch", "start", "--query", query, "--batch_type", "signal", "--signal_name", signal, *rest
        ),
    ]


def signal_input(issued: IssuedCode, reason: str = "") -> str:
    """Return the input of the signal as JSON on one line."""
    review: dict[str, object] = {"reviewer": issued.reviewer, "reason": reason or REASON, "code": issued.code}
    return json.dumps(review if issued.days is None else review | {"days": issued.days})


def _query(releases: Sequence[ShownRelease]) -> str:
    """Return the search that finds exactly the workflows of the releases."""
    ids = ", ".join(json.dumps(quarantine_id(release.project, release.version)) for release in releases)
    return f'WorkflowId IN ({ids}) AND ExecutionStatus="Running"'
