"""Codes with which a signal to Temporal makes a decision in the name of the calling account."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from koschey.auth.permissions import Action
from koschey.model import State
from koschey.policy.findings import Severity
from koschey.policy.reasons import parse_reason
from koschey.quarantine.decision import Choice
from koschey.quarantine.reviewer_codes import MOST_RELEASES, check_codes_decide, issue_code
from koschey.quarantine.shown_releases import ShownRelease
from koschey.quarantine.signal_commands import SIGNALS, signal_input, signal_lines
from koschey.settings.signal_decisions import signal_decisions
from koschey.standards.names import parse_name
from koschey.web.api.decisions import stored_version
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import Input, Name, Reason, Version
from koschey.web.context import resources

MAX_BODY = 2**20
"""Maximum bytes of a request: enough for the longest list of releases."""


class CodedRelease(Input, frozen=True, kw_only=True):
    """A release that the code decides about."""

    project: Name
    version: Version


class NewCode(Input, frozen=True, kw_only=True):
    """One decision, about each of the releases."""

    choice: Annotated[Choice, Meta(description="`approve`, `block` or `extend`.")]
    releases: Annotated[list[CodedRelease], Meta(min_length=1, max_length=MOST_RELEASES)]
    reason: Annotated[Reason | None, Meta(description="The reason in the lines; the signal may give another.")] = None
    days: Annotated[float | None, Meta(description="For `extend`: the minimum number of days from now.")] = None


class CodedFinding(Struct, frozen=True, kw_only=True):
    """What a check or an advisory reports about a file."""

    check: str
    code: str
    severity: Severity
    summary: str


class CodedFile(Struct, frozen=True, kw_only=True):
    """A file as the code binds it: with another digest or another finding it decides nothing."""

    filename: str
    sha256: str | None
    state: State
    findings: list[CodedFinding]


class ShownToReviewer(Struct, frozen=True, kw_only=True):
    """A release, with the files and findings to which the code is bound."""

    project: str
    version: str
    files: list[CodedFile]


class ReviewerCode(Struct, frozen=True, kw_only=True):
    """A code, which is shown once, and the input of its signal. The signal must be received before the code expires."""

    code: str
    reviewer: str
    choice: Choice
    days: float | None
    expires_at: datetime
    signal: Annotated[str, Meta(description="The name of the signal.")]
    input: Annotated[str, Meta(description="The input of the signal as JSON, for Temporal's UI.")]
    lines: Annotated[list[str], Meta(description="Complete command lines for `temporal` and `tctl`.")]
    releases: list[ShownToReviewer]


@operation("POST", "/codes", NewCode, ReviewerCode, needs=Action.DECIDE, max_body=MAX_BODY, also=(404,), alters=False)
async def make_code(call: Call[NewCode]) -> ReviewerCode:
    """Return a code for one decision by signal, bound to the caller, the releases as they are shown, and the choice."""
    check_codes_decide(signal_decisions(resources().settings.decisions_by_signal))
    sent = call.sent
    reason = "" if sent.reason is None else parse_reason(sent.reason)
    releases = [(parse_name(each.project), stored_version(each.version)) for each in sent.releases]
    arguments = (call.actor, sent.choice, releases, resources().feed, sent.days)
    issued = await resources().with_connection(issue_code, *arguments)
    return ReviewerCode(
        code=issued.code,
        reviewer=issued.reviewer,
        choice=issued.choice,
        days=issued.days,
        expires_at=issued.expires_at,
        signal=SIGNALS[issued.choice],
        input=signal_input(issued, reason),
        lines=signal_lines(issued, reason),
        releases=[_show(release) for release in issued.releases],
    )


def _show(release: ShownRelease) -> ShownToReviewer:
    files = [
        CodedFile(
            filename=file.filename,
            sha256=file.sha256,
            state=file.state,
            findings=[
                CodedFinding(check=each.check, code=each.code, severity=each.severity, summary=each.summary)
                for each in file.findings
            ],
        )
        for file in release.files
    ]
    return ShownToReviewer(project=release.project, version=release.version, files=files)
