"""Renders a quarantine as markdown for Temporal's UI: state, checks, findings, requests, how to decide."""

import re
from collections.abc import Iterator, Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.description import CheckState, FindingSummary, ReleaseDescription
    from activities.release import ReleaseStatus
    from koschey.texts import shell_line

MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+!|~&$])")
COMMANDS = (
    ("approve", '{"reviewer": "YOU", "reason": "WHY", "code": "CODE"}'),
    ("reject", '{"reviewer": "YOU", "reason": "WHY", "code": "CODE"}'),
    ("extend", '{"reviewer": "YOU", "reason": "WHY", "days": 7, "code": "CODE"}'),
)


def render_details(
    name: str, workflow_id: str, status: ReleaseStatus, described: ReleaseDescription, answers: Sequence[str]
) -> str:
    """Return the page. Words of others are shown as plain text, never as markup."""
    return "\n".join(_lines(name, workflow_id, status, described, answers))


def _lines(
    name: str, workflow_id: str, status: ReleaseStatus, described: ReleaseDescription, answers: Sequence[str]
) -> Iterator[str]:
    until = f" until {status.release_at:%Y-%m-%d %H:%M} UTC" if status.release_at and status.held_files else ""
    yield f"## {plain(name)} is {status.state}{until}"
    yield f"{status.held} of {described.file_count} files are held; {status.unstored} of them are not stored yet"
    yield from (f"- {plain(reason)}" for reason in status.reasons)
    yield from _section("Checks", [_check(check, status.held) for check in described.checks])
    yield from _section("Findings", [_finding(found) for found in described.findings], described.finding_count)
    yield from _section("Who requested it", [plain(one) for one in described.asked], described.asked_count)
    yield from _section("Answers to decisions", [plain(answer) for answer in answers])
    if status.held_files:
        yield from _commands(name, workflow_id)


def _section(title: str, lines: Sequence[str], count: int = 0) -> Iterator[str]:
    if lines:
        yield f"\n### {title}"
        yield from (f"- {line}" for line in lines)
    if count > len(lines):
        yield f"- and {count - len(lines)} more"


def _check(check: CheckState, held: int) -> str:
    if check.faults:
        return f"{plain(check.check)}: **failed at {check.faults} files**: {plain(check.cause)}"
    return f"{plain(check.check)}: has inspected {check.completed} of {held} files"


def _finding(found: FindingSummary) -> str:
    return f"**{plain(found.severity)}** {plain(found.check)} in {plain(found.filename)}: {plain(found.summary)}"


def _commands(name: str, workflow_id: str) -> Iterator[str]:
    yield "\n### Decide"
    yield "The release's page of the panel shows a code and a complete command. So does:"
    yield "```"
    yield shell_line("koschey", "code", "approve", name.replace(" ", "==", 1))
    yield "```"
    yield "To write the command yourself:"
    yield "```"
    for signal, review in COMMANDS:
        yield shell_line(
            "temporal",
            "workflow",
            "signal",
            "--workflow-id",
            workflow_id,
            "--name",
            signal,
            "--input",
            review,
        )
    yield "```"


def plain(text: str) -> str:
    """Return a text as markdown that shows exactly its words, on one line."""
    return MARKUP.sub(r"\\\1", " ".join(text.split()))
