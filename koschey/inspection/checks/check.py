"""What a check is: a name, what it can find, and a question about one file.

A check is an object with the attributes of `Check`, named by an entry point of the group `koschey.check.v1`. It is
called once for each file that is held, in a process of its own, with what is known of the file, a path to its bytes,
and the same of the release before it. It returns what it found; nothing is good news. Where it cannot look at all of
the file it raises `Skipped`: a file that was not looked at stays held.
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
"""The group of entry points; a check that needs another form of these types will be of `v2`."""


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of thing that a check can find."""

    what: str
    """In one sentence."""
    action: FindingAction
    """What the check proposes to do about it; policy may say otherwise."""
    severity: Severity


@dataclass(frozen=True, slots=True)
class Family:
    """What is known here of a project beside the one file."""

    releases: int = 0
    """Versions that were let out."""
    sizes: tuple[int, ...] = ()
    """Bytes of the files of the same kind that were let out last, the newest first."""
    counts: tuple[int, ...] = ()
    """How many files are in them, as far as they were ever looked into."""
    near: tuple[str, ...] = ()
    """For a project of which nothing was let out yet: names here that it could be taken for, the nearest first."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is known of a file."""

    project: str
    version: str
    filename: str
    sha256: str
    size: int
    origin: str
    """`hosted` or `mirrored`."""
    upload_time: datetime | None = None
    yanked: str | None = None
    """PEP 592; empty where no reason is given."""
    requires_python: str | None = None
    """As the index page says."""
    core_metadata: str | None = None
    """PEP 658: sha256 of METADATA, as the index page says."""
    attestation: str | None = None
    """What the verification of the provenance object (PEP 740) said: `verified`, `refuted` or `unverifiable`."""
    promised: bool = False
    """Whether the index page names a provenance object that could not be had yet."""
    publishers: tuple[Mapping[str, str], ...] = ()
    """Who the object says has published the file; true only where it is `verified`."""
    content: Content | None = None
    """What the archive contains."""
    family: Family = field(default_factory=Family)

    @property
    def is_wheel(self) -> bool:
        """Whether it is a wheel, and not an sdist."""
        return self.filename.endswith(".whl")


type Previous = FileFacts
"""The file that the release before offers in the place of this one: the same kind and, of wheels, the nearest tags."""


class Check(Protocol):
    """See the module."""

    @property
    def name(self) -> str:
        """Letters, digits and hyphens; policies and reviewers call it so."""
        ...

    @property
    def codes(self) -> Mapping[str, Code]:
        """All that it can find."""
        ...

    async def __call__(self, facts: FileFacts, path: Path, previous: Previous | None) -> Sequence[Finding]:
        """Look at one file. Raises `Skipped` where it could not look at all of it."""
        ...


class Skipped(Exception):
    """A check did not look at something, and says what. What it found elsewhere counts all the same."""

    def __init__(self, reason: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.findings = tuple(findings)


def content_of(facts: FileFacts) -> Content:
    """Return what an archive contains. Raises `Skipped` where it breaks a rule, and so nobody could look into it."""
    if facts.content is None:
        raise Skipped(f"the content of {facts.filename}, which is not known")
    if facts.content.refused is not None:
        raise Skipped(f"the content of {facts.filename}, because the archive breaks a rule")
    return facts.content
