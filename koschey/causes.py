"""Why a file has its state: a cause for programs, a reason for people; see `docs/reference/events.md`."""

from dataclasses import dataclass
from typing import NamedTuple

from koschey.explained import Explained


class CauseKind(Explained):
    """What gave a file its state. The constraint on the column `standing.cause` in PostgreSQL lists the same values."""

    TIME = "time", "The window has ended or has not ended, or the file was older than it when it was first seen."
    DECISION = "decision", "A reviewer's decision about the scope and version; the subject is the choice."
    RULE = "rule", "A rule of the policy with this scope and version; the subject is its kind."
    RESERVATION = "reservation", "The name is reserved for private packages, by the pattern that is the scope."
    ADVISORY = "advisory", "An advisory about the release; the subject is its id."
    CHECK = "check", "A check that has a finding or is not completed; the subject is `check/code`, or the check alone."
    UPSTREAM = "upstream", "What the upstream did or said; the subject is one of the table below."
    ARCHIVE = "archive", "The archive does not contain what its page or its metadata states."
    FILENAME = "filename", "The filename names no version, or the name or the path is in use."
    UPLOAD = "upload", "An upload to this index; the subject is the account."
    STATUS = "status", "The project was quarantined here (PEP 792)."
    REMOVAL = "removal", "The file was removed here; the subject is the account."
    ORIGIN = "origin", "The name moved between its upstream and this index; the subject is the account."
    UNKNOWN = "unknown", "The row was written before rows had causes, and does not show its cause."


class UpstreamCause(Explained):
    """What an upstream did or said, as the subject of a cause."""

    NO_DIGEST = "no-digest", "It lists the file without a sha256; the bytes are not hashed yet."
    UNREACHABLE = "unreachable", "The bytes could not be downloaded from it."
    ABSENT = "absent", "It does not list the file, or the project."
    REMOVED = "removed", "It removed the file during its quarantine."
    WITHDRAWN = "withdrawn", "It removed the file soon after its upload."
    LISTED_AGAIN = "listed-again", "It lists the withdrawn file again, unchanged."
    RETURNED = "returned", "The project is back after an absence, perhaps with another owner."
    YANKED = "yanked", "It yanked the file during its quarantine."
    REPLACED = "replaced", "It lists other bytes under the filename."
    QUARANTINED = "quarantined", "It quarantined the project (PEP 792)."


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a file has its state, and what that refers to."""

    kind: CauseKind
    subject: str = ""
    """What it refers to, see `CauseKind`; empty if it refers to nothing, or if that is not known."""
    scope: str = ""
    """What a decision, a rule or a reservation covers: a project, a pattern, `@upstream` or `*`."""
    version: str | None = None
    """The version that a decision or a rule covers; None covers every version."""


class Grounds(NamedTuple):
    """The grounds of a state: the cause for programs, and the reason for people. No code reads the reason."""

    cause: Cause
    reason: str


BY_TIME = Cause(CauseKind.TIME)
BY_ARCHIVE = Cause(CauseKind.ARCHIVE)
BY_FILENAME = Cause(CauseKind.FILENAME)
BY_STATUS = Cause(CauseKind.STATUS)
UNKNOWN = Cause(CauseKind.UNKNOWN)


def by_upstream(what: UpstreamCause) -> Cause:
    """Return the cause for an action or a statement of an upstream."""
    return Cause(CauseKind.UPSTREAM, what)


def by_check(check: str, code: str = "") -> Cause:
    """Return the cause for a check's finding, or for the check itself if it is not completed."""
    return Cause(CauseKind.CHECK, f"{check}/{code}" if code else check)


def by_advisory(advisory: str) -> Cause:
    """Return the cause for an advisory."""
    return Cause(CauseKind.ADVISORY, advisory)


def is_about_check(cause: Cause, subject: str) -> bool:
    """Return whether the subject of a check rule, `check` or `check/code`, covers a cause. Its code may be unknown."""
    if cause.kind is not CauseKind.CHECK:
        return False
    check = subject.partition("/")[0]
    return cause.subject in (subject, check) or cause.subject.startswith(f"{subject}/")
