"""Whether a new project's name could be mistaken for another's, as typosquatters intend.

Only the first release is checked, so that a reviewer sees each such name once. `lookalikes` computes which names are
near, from those that are hosted or used here: nobody here mistypes a name that nobody here uses.
"""

from collections.abc import Sequence
from pathlib import Path

from koschey.inspection.checks.check import Code, FileFacts, Finding, FindingAction, Previous, Severity

NEAR = "near-another"


class Name:
    """Reports a new project whose name is near to another."""

    name = "name"
    codes = {  # noqa: RUF012 - an attribute of the Protocol
        NEAR: Code(
            "The project is new here, and users could mistake its name for that of another.",
            FindingAction.HOLD,
            Severity.WARNING,
        )
    }

    async def __call__(self, facts: FileFacts, path: Path, previous: Previous | None) -> Sequence[Finding]:
        """Return the near names as one finding."""
        del path, previous
        if not facts.family.near:
            return []
        names = ", ".join(facts.family.near)
        summary = f"{facts.project} is new here, and users could mistake it for {names}"
        return [Finding(NEAR, Severity.WARNING, summary, {"near": list(facts.family.near)})]
