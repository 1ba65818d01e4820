"""Whether an archive breaks a rule: its frame, its members, and RECORD with every digest.

The child that makes the report on the content has looked. For an upload a broken rule is a refusal; a file that an
upstream has let in already is for a reviewer, because old build tools broke some rules without meaning harm.
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
    """See the module."""

    name = "archive"
    codes = {  # noqa: RUF012 - an attribute of the Protocol
        BROKEN: Code(
            "The archive breaks a rule by which installers and scanners understand it in the same way.",
            FindingAction.HOLD,
            Severity.SERIOUS,
        )
    }

    async def __call__(self, facts: FileFacts, path: Path, previous: Previous | None) -> Sequence[Finding]:
        """Repeat what the child said."""
        del path, previous
        if facts.content is None:
            raise Skipped(f"{facts.filename}, which could not be read")
        if facts.content.refused is not None:
            rule = facts.content.refused.partition(":")[0]
            return [Finding(BROKEN, Severity.SERIOUS, facts.content.refused, {"rule": rule})]
        if facts.content.truncated:
            what = ", ".join(facts.content.truncated)
            raise Skipped(f"what is too much, or cannot be read, for the report on the content: {what}")
        return []
