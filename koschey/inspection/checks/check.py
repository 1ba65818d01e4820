"""The interface of a check: a name, the codes of what it can find, and a function that examines one file.

A check is an object with the attributes of `Check`, named by an entry point of the group `koschey.check.v1`. Koschey
calls it once for each held file, in a process of its own, with the facts of the file, a path to its bytes, and the
facts of the corresponding file of the release before. The check returns findings; an empty list means that it found
nothing. It raises `Skipped` if it could not examine all of the file: a file that was not examined stays held.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from koschey.inspection.archives.content import Content
from koschey.policy.findings import Finding, FindingAction, Severity

__all__ = ["Check", "Code", "Content", "Family", "FileFacts", "Finding", "FindingAction", "Previous", "Severity"]

GROUP = "koschey.check.v1"
"""The group of entry points. A later, incompatible form of these types will be named `v2`."""


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of finding that a check declares."""

    what: str
    """One sentence for reviewers, such as "It has no file with its licence."."""
    action: FindingAction
    """The action that the check proposes: note, hold or block. The policy may choose another."""
    severity: Severity
    """How serious the check considers it; shown to reviewers, and without effect on what is served."""


@dataclass(frozen=True, slots=True)
class Family:
    """What the index knows of a project beside the one file."""

    releases: int = 0
    """Number of versions that have been released."""
    sizes: tuple[int, ...] = ()
    """Sizes in bytes of recently released files of the same kind, the newest first."""
    counts: tuple[int, ...] = ()
    """Number of members of each of these files, for those whose archive has been read; not aligned with `sizes`."""
    near: tuple[str, ...] = ()
    """Normalised names in this index that the project could be mistaken for, the nearest first. Empty once a version of
    the project has been released."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the index knows of a file. Texts come from the upstream and from the archive: treat them as hostile."""

    project: str
    """Normalised name (PEP 503)."""
    version: str
    """As the filename spells it (PEP 440)."""
    filename: str
    sha256: str
    """64 lower-case hexadecimal digits; the bytes at the path that the check gets have this digest."""
    size: int
    """In bytes."""
    origin: str
    """`hosted` or `mirrored`."""
    upload_time: datetime | None = None
    """When the upstream says that it received the file (PEP 700), in UTC; for a hosted file, when it was uploaded."""
    yanked: str | None = None
    """The reason for a yank (PEP 592); empty if none was given, None if the file is not yanked."""
    requires_python: str | None = None
    """Requires-Python as the index page states it (PEP 503, `data-requires-python`)."""
    core_metadata: str | None = None
    """SHA-256 of METADATA as the index page states it (PEP 658, PEP 714)."""
    attestation: str | None = None
    """Result of verifying the provenance object (PEP 740): `verified`, `refuted` or `unverifiable`; None if there is
    no object."""
    promised: bool = False
    """Whether the index page names a provenance object (PEP 740) that Koschey has not been able to download."""
    publishers: tuple[Mapping[str, str], ...] = ()
    """The publishers that the provenance object names; to be believed only if `attestation` is `verified`."""
    content: Content | None = None
    """What the archive contains; None if its bytes have not been read. `content_of` returns it or skips the file."""
    family: Family = field(default_factory=Family)

    @property
    def is_wheel(self) -> bool:
        """Whether the file is a wheel rather than an sdist."""
        return self.filename.endswith(".whl")


type Previous = FileFacts
"""The corresponding file of the release before: of the same kind, and for wheels the one with the nearest tags."""


class Check(Protocol):
    """An object that examines held files, one at a time."""

    @property
    def name(self) -> str:
        """Lower-case letters, digits and single hyphens. Policies and reviewers use this name; it must be unique."""
        ...

    @property
    def codes(self) -> Mapping[str, Code]:
        """All findings that the check can return, by code; at most 100. A finding of another code is a fault."""
        ...

    async def __call__(self, facts: FileFacts, path: Path, previous: Previous | None) -> Sequence[Finding]:
        """Examine one file and return what was found.

        `path` leads to the file's bytes, to be read only. `previous` is None for the first release of a project. Raises
        `Skipped` if the check could not examine all of the file. Any other exception, an exit, too much time or too
        much memory is a fault: the file stays held, and the check runs again an hour later.
        """
        ...


class Skipped(Exception):
    """A check did not examine something; `reason` names it. The findings about the rest count all the same."""

    def __init__(self, reason: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.findings = tuple(findings)


def content_of(facts: FileFacts) -> Content:
    """Return what an archive contains. Raises `Skipped` if the archive breaks a rule, or has not been read."""
    if facts.content is None:
        raise Skipped(f"the content of {facts.filename}, which is not known")
    if facts.content.refused is not None:
        raise Skipped(f"the content of {facts.filename}, because the archive breaks a rule")
    return facts.content
