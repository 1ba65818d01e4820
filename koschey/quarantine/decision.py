"""The decisions that a person can make about the files of an index, and their outcomes: data only."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from packaging.utils import NormalizedName

from koschey.errors import UsageError
from koschey.model import Serial, Sha256
from koschey.policy.reasons import parse_reason

MAX_TICKET = 200
MAX_EXTENSION = 3650.0
"""Days. The window of a rule has the same maximum."""
MAX_EXCEPTION = 90.0
"""Days. A file that is needed for longer should be approved, or replaced."""


class Choice(StrEnum):
    """What can be decided."""

    APPROVE = "approve"
    BLOCK = "block"
    UNBLOCK = "unblock"
    TRUST = "trust"
    UNTRUST = "untrust"
    EXTEND = "extend"
    """Keep held files held for at least `days` from now."""
    EXCEPT = "except"
    """Serve exactly these bytes for `days` although they are held."""
    RECALL = "recall"
    """Block released files, and report the clients that downloaded them."""


OF_ONE_RELEASE = {
    Choice.APPROVE: "an approval is for one release; write it as 'name==version', or trust the project",
    Choice.EXTEND: "an extension is for one release; write it as 'name==version', or give the project a longer window",
    Choice.EXCEPT: "an exception is for one release; write it as 'name==version'",
}
"""Choices that cannot be for a whole project, and the error message for a person who tries that."""
LONGEST = {Choice.EXTEND: MAX_EXTENSION, Choice.EXCEPT: MAX_EXCEPTION}
"""Choices that are for a limited time, and its maximum in days."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision of one person. If `version` is None, it is about the whole project."""

    choice: Choice
    project: NormalizedName
    version: str | None
    reason: str
    days: float | None = None
    """How long an exception lasts, or the minimum time from now that an extension holds the files."""
    filename: str | None = None
    sha256: Sha256 | None = None
    """With `filename`, the one file that an exception is for; None means every file of the release that is held now."""
    ticket: str | None = None
    """The ticket that documents the reason elsewhere."""

    @property
    def scope(self) -> str:
        """The project or release that it is about, as a person writes it."""
        return f"{self.project}=={self.version}" if self.version else self.project

    def checked(self) -> "Decision":
        """Return the decision with its reason parsed.

        Raises `UsageError` if it is incomplete, or has values that its choice does not accept.
        """
        reason = parse_reason(self.reason)
        if self.version is None and self.choice in OF_ONE_RELEASE:
            raise UsageError(OF_ONE_RELEASE[self.choice])
        self._check_days()
        if self.choice is not Choice.EXCEPT:
            if self.filename is not None or self.sha256 is not None:
                raise UsageError(f"{self.choice} applies to the whole release; only an exception applies to one file")
        elif (self.filename is None) is not (self.sha256 is None):
            raise UsageError("give the filename together with the sha256: an exception is for exactly these bytes")
        self._check_ticket()
        return replace(self, reason=reason)

    def _check_days(self) -> None:
        longest = LONGEST.get(self.choice)
        if longest is None and self.days is not None:
            raise UsageError(f"{self.choice} is permanent; omit the number of days")
        # Written so that NaN is refused as well.
        if longest is not None and not (self.days is not None and 0 < self.days <= longest):
            raise UsageError(f"give the number of days: more than 0, and at most {longest:g}")

    def _check_ticket(self) -> None:
        if self.choice is Choice.EXCEPT and not (self.ticket and self.ticket.strip()):
            raise UsageError("give the ticket in which the exception was requested")
        if self.ticket is not None and (len(self.ticket) > MAX_TICKET or not self.ticket.isprintable()):
            raise UsageError(f"a ticket is one line of at most {MAX_TICKET} characters")


@dataclass(frozen=True, slots=True)
class DecisionOutcome:
    """What a decision changed."""

    serial: Serial | None
    """None if nothing changed: the decision was already in effect."""
    filenames: tuple[str, ...]
    waits: bool = False
    """Whether the decision is pending: it becomes active once a second person makes the same decision."""
    done: str = field(default="moved", compare=False)
    """The verb for the action on the files, as a participle."""

    def __str__(self) -> str:
        if self.waits:
            return f"pending until a second person agrees{f', serial {self.serial}' if self.serial else ''}"
        if self.serial is None:
            return "nothing to change"
        return f"serial {self.serial}, {len(self.filenames)} file{'s' if len(self.filenames) != 1 else ''} {self.done}"
