"""Whether a new project's name could be taken for another's: the trade of typosquatters.

Only the first release is asked about, so that a reviewer sees each such name once. Which names are near is computed
by `lookalikes`, from those that are hosted or used here: nobody here mistypes a name that nobody here uses.
"""

from collections.abc import Sequence
from pathlib import Path

from koschey.inspection.checks.check import Code, FileFacts, Finding, FindingAction, Previous, Severity

NEAR = "near-another"


class Name:
    """See the module."""

    name = "name"
    codes = {  # noqa: RUF012 - an attribute of the Protocol
        NEAR: Code(
            "The project is new here, and its name could be taken for that of another.",
            FindingAction.HOLD,
            Severity.WARNING,
        )
    }

    async def __call__(self, facts: FileFacts, path: Path, previous: Previous | None) -> Sequence[Finding]:
        """Repeat what is near."""
        del path, previous
        if not facts.family.near:
            return []
        names = ", ".join(facts.family.near)
        summary = f"{facts.project} is new here and could be taken for {names}"
        return [Finding(NEAR, Severity.WARNING, summary, {"near": list(facts.family.near)})]
