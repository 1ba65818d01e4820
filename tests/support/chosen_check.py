"""A check whose answer a test chooses, registered and run as a worker's checks are."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from unittest.mock import patch

from koschey.db.pool import Pool
from koschey.inspection.checks.check import Code, FileFacts, Finding, FindingAction, Previous, Severity, Skipped
from koschey.inspection.checks.registry import Installed, Own
from koschey.inspection.sandbox.inspector import Inspector
from koschey.model import StandingFile
from koschey.quarantine import checking
from koschey.quarantine.checking import Checker, register_checks
from koschey.quarantine.file_facts import FactReader, Portion, facts_of
from koschey.resources import Resources

FAULTS = ("crash", "skip", "gone")
"""Choices without an answer: the check fails, it skips the file, or it is no longer installed."""
PROPOSED = {
    "noted": (FindingAction.NOTE, Severity.INFO),
    "odd": (FindingAction.HOLD, Severity.WARNING),
    "evil": (FindingAction.BLOCK, Severity.SERIOUS),
}


class Oracle:
    """The check. It calls `tell` with each filename before it answers."""

    name = "oracle"
    codes: Mapping[str, Code] = {
        code: Code(f"Something {code}.", action, severity) for code, (action, severity) in PROPOSED.items()
    }

    def __init__(self, tell: Callable[[str], None] = lambda _: None) -> None:
        self.answer = "clean"
        self.tell = tell

    async def __call__(self, facts: FileFacts, path: Path, previous: Previous | None) -> Sequence[Finding]:
        """Give the chosen answer."""
        del path, previous
        self.tell(facts.filename)
        if self.answer == "crash":
            raise RuntimeError("the oracle is ill")
        if self.answer == "skip":
            raise Skipped("everything")
        return [Finding(self.answer, PROPOSED[self.answer][1], self.answer)] if self.answer in PROPOSED else []

    async def load(self) -> tuple[Installed, ...]:
        """Return the checks that are installed on this worker."""
        return () if self.answer == "gone" else (Own(self),)


class FactsOfRows(FactReader):
    """Facts without the archive's content: this check does not need it, and reading it takes a process."""

    async def read(self, item: StandingFile, portion: Portion) -> FileFacts:
        """Return the facts that the rows contain."""
        return facts_of(item.file, portion.origin, portion.of(item.file), None)


def checker(resources: Resources, oracle: Oracle) -> Checker:
    """Return a checker that runs the check, as a worker does."""
    parts = (resources.pool, resources.bucket, resources.files, resources.provenance)
    return Checker(resources.pool, FactsOfRows(*parts, Inspector(), None), oracle.load)


async def register(pool: Pool) -> None:
    """Record that a worker provides the check: from then on files are held until it has inspected them."""
    with patch.object(checking, "load", Oracle().load):
        await register_checks(pool)
