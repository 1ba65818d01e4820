"""Whether an archive breaks a rule about its frame, its members, or RECORD with every digest.

The child that makes the report on the content has checked the rules. An upload that breaks a rule is refused. A file
that an upstream has already accepted is held for a reviewer, because old build tools broke some rules without harm in
mind.
"""

from collections.abc import Sequence
from pathlib import Path

from koschey.inspection.checks.check import (
    Code,
    FileFacts,
    Finding,
    FindingAction,
    Previous,
    Severity,
    Skipped,
)

BROKEN = "breaks-a-rule"


class Archive:
    """Reports the rule that an archive breaks."""

    name = "archive"
    codes = {  # noqa: RUF012 - an attribute of the Protocol
        BROKEN: Code(
            "The archive breaks a rule that makes installers and scanners read it in the same way.",
            FindingAction.HOLD,
            Severity.SERIOUS,
        )
    }

    async def __call__(self, facts: FileFacts, path: Path, previous: Previous | None) -> Sequence[Finding]:
        """Return what the child has found."""
        del path, previous
        if facts.content is None:
            raise Skipped(f"{facts.filename}, which could not be read")
        if facts.content.refused is not None:
            rule = facts.content.refused.partition(":")[0]
            return [Finding(BROKEN, Severity.SERIOUS, facts.content.refused, {"rule": rule})]
        if facts.content.truncated:
            what = ", ".join(facts.content.truncated)
            raise Skipped(f"content that is too large for the report, or cannot be read: {what}")
        return []
