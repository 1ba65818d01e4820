"""Whether the releases that a client pins are served: the pins, and the explanation of each on every surface."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from packaging.utils import NormalizedName

from koschey.model import LeftOutFile, State
from koschey.texts import shell_line

MAX_PINS = 5000
"""Maximum number of pins in one preflight."""


class Availability(StrEnum):
    """Whether a client that pins a release gets it."""

    SERVED = "served"
    HELD = "held"
    CONFLICT = "conflict"
    MALFORMED = "malformed"
    BLOCKED = "blocked"
    REMOVED = "removed"
    OTHER_BYTES = "other bytes"
    """No file of the release has one of the requested digests."""
    MISSING = "missing"
    """Neither this index nor its upstream has the release."""
    UNKNOWN = "unknown"
    """It cannot be determined now: the upstream does not answer, or there was no time for a request to it."""


ASKABLE = (Availability.HELD, Availability.CONFLICT, Availability.MALFORMED, Availability.BLOCKED)
"""States from which a reviewer can release a release, so that a request for it makes sense."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One release that a lock names, with the digests of the files that it allows."""

    project: NormalizedName
    version: str
    hashes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileAccount:
    """The explanation of one file. It reveals neither the bytes nor where they are."""

    filename: str
    version: str
    served: bool
    state: State
    reason: str
    release_at: datetime | None = None
    """When time alone releases it; None if time alone does not."""
    findings: tuple[str, ...] = ()
    """The findings of checks, one line each."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation of one release."""

    project: NormalizedName
    version: str
    state: Availability
    reason: str = ""
    release_at: datetime | None = None
    free: str | None = None
    """The newest older version that is served."""
    files: tuple[FileAccount, ...] = ()
    left_out: tuple[LeftOutFile, ...] = ()
    """Files that its upstream's page lists and that this index leaves out."""

    @property
    def request(self) -> str | None:
        """The command with which a developer requests it; None if there is nothing to request."""
        return request_command(self.project, self.version) if self.state in ASKABLE else None


def describe(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as programs read it; `msgspec.convert` reads it back."""
    fields: dict[str, Any] = msgspec.to_builtins(explanation)
    return fields | {"request": explanation.request}


def request_command(project: str, version: str) -> str:
    """Return the command with which a developer requests a release."""
    return shell_line("koschey", "request", f"{project}=={version}")
