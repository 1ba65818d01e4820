"""A short summary of a release for Temporal's own pages: its checks, findings, files and requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from koschey.db.requests import Request
from koschey.model import FileId, StandingFile, State
from koschey.policy.findings import Evidence, Finding
from koschey.quarantine.settle import Settlement
from koschey.texts import on_one_line

SHOWN = 30
"""Maximum number of files, of findings and of requests that are named."""
LONGEST = 200
"""Maximum length of one sentence, in characters."""


@dataclass(frozen=True)
class CheckState:
    """How many held files of a release a check has completed, and at how many it failed."""

    check: str
    completed: int
    faults: int
    cause: str = ""
    """The cause of one of the faults."""


@dataclass(frozen=True)
class FindingSummary:
    """One finding, without its evidence."""

    filename: str
    check: str
    code: str
    severity: str
    summary: str


@dataclass(frozen=True)
class FileSummary:
    """One file."""

    id: int
    filename: str
    state: str
    reason: str
    stored: bool


@dataclass(frozen=True)
class ReleaseDescription:
    """What a reviewer needs first. Everything is bounded; the panel shows the rest."""

    checks: list[CheckState] = field(default_factory=list)
    findings: list[FindingSummary] = field(default_factory=list)
    files: list[FileSummary] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    finding_count: int = 0
    file_count: int = 0
    asked_count: int = 0


def describe(settlement: Settlement, asked_count: int, asked: Sequence[Request]) -> ReleaseDescription:
    """Return the summary of a release that was just settled, and of requests for it."""
    known = [item for item in settlement.files if item.standing.state is not State.REMOVED]
    names = {item.file.id: item.file.filename for item in known if item.standing.state is State.HELD}
    evidence = {file: settlement.evidence[file] for file in names}
    findings = [_finding(names[file], found) for file in names for found in evidence[file].findings]
    return ReleaseDescription(
        checks=[_check(check, evidence) for check in settlement.checks[:SHOWN]],
        findings=findings[:SHOWN],
        files=[_file(item) for item in sorted(known, key=_waiting_first)[:SHOWN]],
        asked=[_request_line(one) for one in asked],
        finding_count=len(findings),
        file_count=len(known),
        asked_count=asked_count,
    )


def _waiting_first(item: StandingFile) -> tuple[bool, int]:
    return item.standing.state is not State.HELD, item.file.id


def _check(check: str, evidence: Mapping[FileId, Evidence]) -> CheckState:
    causes = [fault.cause for known in evidence.values() for fault in known.faults if fault.check == check]
    completed = sum(check in known.completed for known in evidence.values())
    return CheckState(check[:LONGEST], completed, len(causes), shortened(causes[0]) if causes else "")


def _finding(filename: str, found: Finding) -> FindingSummary:
    return FindingSummary(filename, found.check, found.code, found.severity, shortened(found.summary))


def _file(item: StandingFile) -> FileSummary:
    standing = item.standing
    return FileSummary(
        int(item.file.id),
        item.file.filename,
        standing.state,
        shortened(standing.reason),
        item.file.stored_at is not None,
    )


def _request_line(one: Request) -> str:
    times = f", {one.times} times" if one.times > 1 else ""
    return shortened(f"{one.who}{times}: {one.reason}")


def shortened(text: str) -> str:
    """Return a sentence of at most `LONGEST` characters, cleaned for Temporal's UI and for a terminal."""
    text = on_one_line(" ".join(text.split()))
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
