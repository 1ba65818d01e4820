"""The nouns of a package index, named as in the packaging glossary. No I/O, no behaviour beyond their own fields."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from packaging.utils import NormalizedName

from koschey.causes import Cause

Sha256 = NewType("Sha256", str)
"""64 lowercase hex digits."""

Serial = NewType("Serial", int)
"""Number of a change in the journal: global, gap-free, in commit order."""

ProjectId = NewType("ProjectId", int)
FileId = NewType("FileId", int)

MAIN_INDEX = "main"
"""The one index that is seeded, served at the root."""


class Origin(StrEnum):
    """Where a project's files come from. A name has one at a time, so nothing public can shadow what is private."""

    HOSTED = "hosted"
    MIRRORED = "mirrored"


class State(StrEnum):
    """What an index does with a file. The legal moves are in `policy.states` and, binding, in a database trigger."""

    HELD = "held"
    RELEASED = "released"
    BLOCKED = "blocked"
    MALFORMED = "malformed"
    CONFLICT = "conflict"
    REMOVED = "removed"


class ProjectStatus(StrEnum):
    """PEP 792: "a project's status", one of four values."""

    ACTIVE = "active"
    ARCHIVED = "archived"
    QUARANTINED = "quarantined"
    DEPRECATED = "deprecated"


class AttestationVerdict(StrEnum):
    """What the verification of a provenance object (PEP 740) said."""

    VERIFIED = "verified"
    REFUTED = "refuted"
    """It is an object of the standard, but does not prove what it claims of this file."""
    UNVERIFIABLE = "unverifiable"
    """It cannot be judged here: a kind, a form or a root of trust that is not known."""


class Damage(StrEnum):
    """What became of bytes that were stored in the bucket."""

    MISSING = "missing"
    """The bucket has no object of this digest."""
    ALTERED = "altered"
    """The bucket has other bytes in its place."""


@dataclass(frozen=True, slots=True)
class Absence:
    """That an upstream lists a project or a file no more: suspected, until further looks have confirmed it."""

    since: datetime
    """The first look that found it."""
    looks: int
    """Further looks that found it when they were due."""
    due_at: datetime | None
    """When the next look is due; None once the absence is confirmed."""

    @property
    def is_confirmed(self) -> bool:
        """Whether it is a verdict."""
        return self.due_at is None


@dataclass(frozen=True, slots=True)
class Project:
    """A named thing with releases."""

    id: ProjectId
    name: NormalizedName
    display_name: str
    origin: Origin
    status: ProjectStatus
    status_reason: str | None
    serial: Serial
    """The journal's serial of the last change to this project, sent as `X-PyPI-Last-Serial`."""
    upstream_etag: str | None
    looked_at: datetime | None
    """When the upstream's page was last read; None for a hosted project."""
    summary: str | None = None
    """One line about the project, from the metadata that was read last; what `search` looks at beside the name."""
    absence: Absence | None = None
    """That the upstream has no page of it; None while it has one."""
    recheck_at: datetime | None = None
    """When the upstream's page must be looked at again, for an absence of it or of files on it is suspected."""
    left_out: int = 0
    """How many files its page lists that are no rows here."""


@dataclass(frozen=True, slots=True)
class File:
    """Facts about one wheel or sdist. What an index lets out is in its `Standing`."""

    id: FileId
    project: NormalizedName
    version: str
    """As PEP 440 normalises it, or as the filename has it where that is not PEP 440."""
    filename: str
    sha256: Sha256 | None
    """None until the bytes were fetched, where the upstream's page gives no sha256."""
    size: int | None
    """Bytes. PEP 700: "it MUST be an integer which is the file size in bytes"."""
    upload_time: datetime | None
    """The upstream's, never ours: PEP 700's `upload-time`. Locks and cool-downs compare it."""
    first_seen_at: datetime
    stored_at: datetime | None
    """When the verified bytes were in S3; None means that the first download fetches them."""
    requires_python: str | None
    yanked: str | None
    """PEP 592: None is not yanked; the empty string is yanked without a reason."""
    core_metadata: Sha256 | None
    """PEP 658 and 714: digest of the `METADATA` file that is served beside the wheel."""
    metadata_stored: bool
    upstream_url: str | None
    path: str | None
    """Public path below the index, `/packages/aa/bb/<rest>/<filename>`; None while no digest is known."""
    absent_since: datetime | None
    """When the upstream's page first lacked this file; None while it is listed. See `absence`."""
    blake2b_256: str | None = None
    """Hex digest of the bytes; None where neither the uploader nor the public path gave it."""
    md5: str | None = None
    pkg_info: Sha256 | None = None
    """Digest of an sdist's PKG-INFO, where we have read it. Not core metadata in the sense of PEP 658."""
    metadata_error: str | None = None
    """Why no core metadata could be extracted from this wheel."""
    provenance_url: str | None = None
    """PEP 740: where the upstream has the provenance object."""
    record: str | None = None
    """The PEP 710 record, byte for byte; None for a hosted file and for one that was not downloaded yet."""
    attestation: AttestationVerdict | None = None
    """What the verification of the stored provenance object said; None where none is stored."""
    damage: Damage | None = None
    """What the bucket did to the bytes, while they are not stored for that reason."""
    metadata_damage: Damage | None = None
    """The same of the stored METADATA or PKG-INFO."""
    broken_promise: Sha256 | None = None
    """Digest of core metadata that the upstream's page promised, and that neither the upstream nor the wheel has."""
    mismatched_at: datetime | None = None
    """When the upstream last sent other bytes than its page promised."""
    set_aside_at: datetime | None = None
    """Since when the file is not of its project's origin, for the name was handed over; it is blocked since then."""

    absence_looks: int = 0
    absence_due_at: datetime | None = None

    @property
    def absence(self) -> Absence | None:
        """That the upstream's page lacks this file; None while it is listed."""
        return Absence(self.absent_since, self.absence_looks, self.absence_due_at) if self.absent_since else None

    @property
    def is_gone(self) -> bool:
        """Whether the upstream has taken this file away: looks have confirmed that its page lacks it."""
        return self.absence is not None and self.absence.is_confirmed

    @property
    def has_known_bytes(self) -> bool:
        """Whether it is known which bytes have this name: what is let out is let out with its digest and its path."""
        return bool(self.sha256 and self.path)

    @property
    def has_provenance(self) -> bool:
        """Whether a provenance object (PEP 740) can be had for this file: it is here, or the upstream lists one."""
        return self.attestation is not None or self.provenance_url is not None


@dataclass(frozen=True, slots=True)
class Standing:
    """What one index decided about one file."""

    state: State
    cause: Cause
    reason: str
    """The cause in a sentence, for people alone."""
    release_at: datetime | None
    """When the window ends; None where time does not release it."""
    available_at: datetime | None
    """Since when this index serves it."""
    counts_from: datetime | None = None
    """Since when the window counts; None where time does not release it."""
    held_until: datetime | None = None
    """Until when a reviewer extended the quarantine, whatever the window says."""
    withdrawn_at: datetime | None = None
    """When it was blocked only because the upstream withdrew what had been released; None for every other state."""


@dataclass(frozen=True, slots=True)
class StandingFile:
    """A file together with its standing: the unit of every verdict."""

    file: File
    standing: Standing


@dataclass(frozen=True, slots=True)
class UpstreamFile:
    """One file as an upstream's page lists it, cleaned of what would harm our clients."""

    filename: str
    version: str | None
    """None where the filename names no version: such a file is never served."""
    url: str
    """Absolute, without a fragment."""
    sha256: Sha256 | None
    size: int | None
    upload_time: datetime | None
    requires_python: str | None
    yanked: str | None
    core_metadata: Sha256 | None
    provenance_url: str | None = None
    """PEP 740: absolute address of the provenance object."""


class LeftOutCause(StrEnum):
    """Why a file that an upstream's page lists is no row here."""

    NO_FILE = "no-file"
    """The entry lacks a filename or an address, or is no entry at all."""
    UNSAFE_NAME = "unsafe-name"
    NO_ADDRESS = "no-address"
    UNKNOWN_ENDING = "unknown-ending"
    LISTED_TWICE = "listed-twice"


@dataclass(frozen=True, slots=True)
class LeftOutFile:
    """A file that an upstream's page lists and that is left out here."""

    name: str
    """What the page calls it, as far as that can be shown."""
    cause: LeftOutCause


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What the last reading of a project's page left out."""

    files: tuple[LeftOutFile, ...] = ()
    """The first of them."""
    count: int = 0


@dataclass(frozen=True, slots=True)
class UpstreamPage:
    """A project's page as an upstream serves it."""

    files: tuple[UpstreamFile, ...]
    status: ProjectStatus = ProjectStatus.ACTIVE
    status_reason: str | None = None
    etag: str | None = None
    left_out: tuple[LeftOutFile, ...] = ()
    """The first of the files that it lists beside them."""
    left_out_count: int = 0
    """How many they are."""

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing at all of a project, as pages of names do that nobody uses."""
        return not (self.files or self.left_out_count or self.status_reason or self.status is not ProjectStatus.ACTIVE)


@dataclass(frozen=True, slots=True)
class VersionRange:
    """Versions that an advisory is about, in the order of PEP 440; None is no limit on that side."""

    introduced: str | None = None
    fixed: str | None = None
    """The first version that is not meant any more."""
    last_affected: str | None = None


@dataclass(frozen=True, slots=True)
class Advisory:
    """What a feed (OSV schema) says against versions of one project."""

    id: str
    project: NormalizedName
    malicious: bool
    """Whether the versions are malware, and not software with a mistake."""
    summary: str
    versions: tuple[str, ...]
    ranges: tuple[VersionRange, ...]
    modified: datetime | None
    withdrawn_at: datetime | None
    """Since when it is said no more."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who causes a change, as the journal names them, and through which door."""

    name: str
    """`system`, or the account's name."""
    door: str
    """`system`, `cli`, `upload`, `api`, `admin`; `code` is a signal with a reviewer's code, `signal` is one without."""


SYSTEM = Actor("system", "system")


def quarantine_id(project: str, version: str) -> str:
    """Return the id of the workflow that drives a release's quarantine: `quarantine/<project>/<version>`."""
    return f"quarantine/{project}/{version}"
