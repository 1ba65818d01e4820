"""What a person can decide about what an index lets out, and what came of it: data, without the deciding."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from packaging.utils import NormalizedName

from koschey.errors import UsageError
from koschey.model import Serial, Sha256
from koschey.policy.reasons import parse_reason

MAX_TICKET = 200
MAX_EXTENSION = 3650.0
"""Days; a policy's window is no longer either."""
MAX_EXCEPTION = 90.0
"""Days. What is needed for longer should be approved, or not be needed."""


class Choice(StrEnum):
    """What can be decided."""

    APPROVE = "approve"
    BLOCK = "block"
    UNBLOCK = "unblock"
    TRUST = "trust"
    UNTRUST = "untrust"
    EXTEND = "extend"
    """Hold what is held at least `days` from now."""
    EXCEPT = "except"
    """Serve exactly these bytes for `days`, though they are held."""
    RECALL = "recall"
    """Block what was let out, and say who took it."""


OF_ONE_RELEASE = {
    Choice.APPROVE: "an approval is for one release; write it as 'name==version', or trust the project",
    Choice.EXTEND: "an extension is for one release; write it as 'name==version', or give the project a longer window",
    Choice.EXCEPT: "an exception is for one release; write it as 'name==version'",
}
"""Choices that take no whole project, and what is said to who tries."""
LONGEST = {Choice.EXTEND: MAX_EXTENSION, Choice.EXCEPT: MAX_EXCEPTION}
"""Choices that are for a time, and the most days of it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision of one person. `version` None is the whole project."""

    choice: Choice
    project: NormalizedName
    version: str | None
    reason: str
    days: float | None = None
    """For how long an exception lasts, or for how long from now the quarantine goes on at least."""
    filename: str | None = None
    sha256: Sha256 | None = None
    """The one file that an exception is for; None: every file of the release as it is now."""
    ticket: str | None = None
    """Where the reason is written down elsewhere."""

    @property
    def scope(self) -> str:
        """What it is about, as a person writes it."""
        return f"{self.project}=={self.version}" if self.version else self.project

    def checked(self) -> "Decision":
        """Return it with its reason parsed.

        Raises `UsageError` where it is incomplete, or says more than its choice takes.
        """
        reason = parse_reason(self.reason)
        if self.version is None and self.choice in OF_ONE_RELEASE:
            raise UsageError(OF_ONE_RELEASE[self.choice])
        self._check_days()
        if self.choice is not Choice.EXCEPT:
            if self.filename is not None or self.sha256 is not None:
                raise UsageError(f"{self.choice} is for the whole release; only an exception is for one file of it")
        elif (self.filename is None) is not (self.sha256 is None):
            raise UsageError("name the file together with its sha256: an exception is for exactly these bytes")
        self._check_ticket()
        return replace(self, reason=reason)

    def _check_days(self) -> None:
        longest = LONGEST.get(self.choice)
        if longest is None and self.days is not None:
            raise UsageError(f"{self.choice} is for good and takes no days")
        # Written so that what is no number is refused as well.
        if longest is not None and not (self.days is not None and 0 < self.days <= longest):
            raise UsageError(f"say for how many days: more than 0, and {longest:g} at the most")

    def _check_ticket(self) -> None:
        if self.choice is Choice.EXCEPT and not (self.ticket and self.ticket.strip()):
            raise UsageError("give the ticket under which the exception was asked for")
        if self.ticket is not None and (len(self.ticket) > MAX_TICKET or not self.ticket.isprintable()):
            raise UsageError(f"a ticket is one line of {MAX_TICKET} characters at the most")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision changed."""

    serial: Serial | None
    """None where it changed nothing: it was so already."""
    filenames: tuple[str, ...]
    waits: bool = False
    """It is in force once a second person makes the same decision."""
    done: str = field(default="moved", compare=False)
    """What was done with the files, in one word."""

    def __str__(self) -> str:
        if self.waits:
            return f"waits for a second person{f', serial {self.serial}' if self.serial else ''}"
        if self.serial is None:
            return "nothing to change"
        return f"serial {self.serial}, {len(self.filenames)} file{'s' if len(self.filenames) != 1 else ''} {self.done}"
