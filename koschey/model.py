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
"""The only index. Migrations create it, and it is served at the root."""


class Origin(StrEnum):
    """Where a project's files come from. A name has one origin at a time, so no public file shadows a private one."""

    HOSTED = "hosted"
    MIRRORED = "mirrored"


class State(StrEnum):
    """What an index does with a file. `policy.states` has the legal changes; a database trigger enforces them."""

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
    """The result of the verification of a provenance object (PEP 740)."""

    VERIFIED = "verified"
    REFUTED = "refuted"
    """The object follows the standard, but does not prove what it claims about this file."""
    UNVERIFIABLE = "unverifiable"
    """Koschey cannot verify the object: it does not know its kind, its form or its root of trust."""


class Damage(StrEnum):
    """What happened to bytes that were stored in the bucket."""

    MISSING = "missing"
    """The bucket has no object of this digest."""
    ALTERED = "altered"
    """The bucket has other bytes under this digest."""


@dataclass(frozen=True, slots=True)
class Absence:
    """An upstream no longer lists a project or a file. The absence is suspected until further requests confirm it."""

    since: datetime
    """The time of the first request that found it."""
    looks: int
    """Number of further requests that found it when they were due."""
    due_at: datetime | None
    """When the next request is due; None once the absence is confirmed."""

    @property
    def is_confirmed(self) -> bool:
        """Whether further requests have confirmed it."""
        return self.due_at is None


@dataclass(frozen=True, slots=True)
class Project:
    """A name with its releases, and what the index knows of it."""

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
    """One line about the project, from the metadata that was read last. `search` uses it besides the name."""
    absence: Absence | None = None
    """Absence of the project's page at the upstream; None while the page exists."""
    recheck_at: datetime | None = None
    """When the upstream's page must be re-checked, because its absence, or that of files on it, is suspected."""
    left_out: int = 0
    """Number of files that its page lists and that have no rows here."""


@dataclass(frozen=True, slots=True)
class File:
    """Facts about one wheel or sdist. Its `Standing` says whether an index releases it."""

    id: FileId
    project: NormalizedName
    version: str
    """In the normalised form of PEP 440, or as in the filename if that does not follow PEP 440."""
    filename: str
    sha256: Sha256 | None
    """None if the upstream's page gives no SHA-256, until the bytes have been downloaded."""
    size: int | None
    """In bytes. PEP 700: "it MUST be an integer which is the file size in bytes"."""
    upload_time: datetime | None
    """PEP 700's `upload-time`; for a mirrored file always the upstream's. Lock files and cool-downs compare it."""
    first_seen_at: datetime
    stored_at: datetime | None
    """When the verified bytes were stored in S3; None if they are not stored. The first download then fetches them."""
    requires_python: str | None
    yanked: str | None
    """PEP 592: the reason; None if the file is not yanked, the empty string if it is yanked without a reason."""
    core_metadata: Sha256 | None
    """PEP 658 and 714: digest of the `METADATA` file that is served beside the wheel."""
    metadata_stored: bool
    upstream_url: str | None
    path: str | None
    """Public path below the index, `/packages/aa/bb/<rest>/<filename>`; None while the file has no digest."""
    absent_since: datetime | None
    """When the upstream's page first did not list this file; None while it is listed. See `absence`."""
    blake2b_256: str | None = None
    """Hex digest of the bytes; None if neither the uploader nor the upstream's URL gave it."""
    md5: str | None = None
    pkg_info: Sha256 | None = None
    """Digest of an sdist's PKG-INFO; None if Koschey has not read it. Not core metadata in the sense of PEP 658."""
    metadata_error: str | None = None
    """Why no core metadata could be extracted from this wheel."""
    provenance_url: str | None = None
    """PEP 740: the URL of the provenance object at the upstream."""
    record: str | None = None
    """The PEP 710 record, byte for byte; None for a hosted file and for one that has not been downloaded yet."""
    attestation: AttestationVerdict | None = None
    """The result of verifying the stored provenance object; None if none is stored."""
    damage: Damage | None = None
    """How the bucket has damaged the bytes; None unless they are not stored for that reason."""
    metadata_damage: Damage | None = None
    """How the bucket has damaged the stored METADATA or PKG-INFO."""
    broken_promise: Sha256 | None = None
    """Digest of core metadata that the upstream's page promised, and that neither the upstream nor the wheel has."""
    mismatched_at: datetime | None = None
    """When the upstream last sent other bytes than its page promised."""
    set_aside_at: datetime | None = None
    """When the project's name moved to another origin than the file's. The file is blocked since then."""

    absence_looks: int = 0
    absence_due_at: datetime | None = None

    @property
    def absence(self) -> Absence | None:
        """Absence of this file from the upstream's page; None while it is listed."""
        return Absence(self.absent_since, self.absence_looks, self.absence_due_at) if self.absent_since else None

    @property
    def is_gone(self) -> bool:
        """Whether the upstream has removed this file: further requests have confirmed that its page lacks it."""
        return self.absence is not None and self.absence.is_confirmed

    @property
    def has_known_bytes(self) -> bool:
        """Whether the digest and the path of this file are known. A file is only released with both."""
        return bool(self.sha256 and self.path)

    @property
    def has_provenance(self) -> bool:
        """Whether this file has a provenance object (PEP 740): one is stored, or the upstream lists one."""
        return self.attestation is not None or self.provenance_url is not None


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of one file in one index, with its cause and its times."""

    state: State
    cause: Cause
    reason: str
    """The cause in a sentence. Only people read it."""
    release_at: datetime | None
    """When the window ends; None if the file is not released by time."""
    available_at: datetime | None
    """When this index last released the file; None if it never did."""
    counts_from: datetime | None = None
    """When the window began; None if the file is not released by time."""
    held_until: datetime | None = None
    """Until when a reviewer has extended the quarantine, even if the window ends earlier."""
    withdrawn_at: datetime | None = None
    """When it was blocked only because the upstream withdrew it after its release; None for every other state."""


@dataclass(frozen=True, slots=True)
class StandingFile:
    """A file together with its state: the unit of every verdict."""

    file: File
    standing: Standing


@dataclass(frozen=True, slots=True)
class UpstreamFile:
    """One file as an upstream's page lists it, without anything that would harm clients."""

    filename: str
    version: str | None
    """None if the filename contains no version: such a file is never served."""
    url: str
    """Absolute, without a fragment."""
    sha256: Sha256 | None
    size: int | None
    upload_time: datetime | None
    requires_python: str | None
    yanked: str | None
    core_metadata: Sha256 | None
    provenance_url: str | None = None
    """PEP 740: absolute URL of the provenance object."""


class LeftOutCause(StrEnum):
    """Why a file that an upstream's page lists has no row here."""

    NO_FILE = "no-file"
    """The entry lacks a filename or a URL, or is not an entry of a file."""
    UNSAFE_NAME = "unsafe-name"
    NO_ADDRESS = "no-address"
    UNKNOWN_ENDING = "unknown-ending"
    LISTED_TWICE = "listed-twice"


@dataclass(frozen=True, slots=True)
class LeftOutFile:
    """A file that an upstream's page lists and that Koschey leaves out."""

    name: str
    """Its name on the page, as far as it can be shown."""
    cause: LeftOutCause


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The files that the last reading of a project's page left out."""

    files: tuple[LeftOutFile, ...] = ()
    """The first of these files."""
    count: int = 0


@dataclass(frozen=True, slots=True)
class UpstreamPage:
    """A project's page as an upstream serves it."""

    files: tuple[UpstreamFile, ...]
    status: ProjectStatus = ProjectStatus.ACTIVE
    status_reason: str | None = None
    etag: str | None = None
    left_out: tuple[LeftOutFile, ...] = ()
    """The first of the files that the page lists and Koschey leaves out."""
    left_out_count: int = 0
    """Number of all such files."""

    @property
    def is_empty(self) -> bool:
        """Whether the page says nothing of a project, like the pages of unused names that some indexes serve."""
        return not (self.files or self.left_out_count or self.status_reason or self.status is not ProjectStatus.ACTIVE)


@dataclass(frozen=True, slots=True)
class VersionRange:
    """A range of versions that an advisory is about, in the order of PEP 440; None means no limit on that side."""

    introduced: str | None = None
    fixed: str | None = None
    """The first version that is not affected any more."""
    last_affected: str | None = None


@dataclass(frozen=True, slots=True)
class Advisory:
    """An advisory of a feed (OSV schema) about versions of one project."""

    id: str
    project: NormalizedName
    malicious: bool
    """Whether the versions are malware, rather than software with a vulnerability."""
    summary: str
    versions: tuple[str, ...]
    ranges: tuple[VersionRange, ...]
    modified: datetime | None
    withdrawn_at: datetime | None
    """When the advisory was withdrawn; None if it was not."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who made a change, as the journal names them, and through which door."""

    name: str
    """`system`, or the account's name."""
    door: str
    """`system`, `cli`, `upload`, `api`, `admin`; `code` is a signal with a reviewer's code, `signal` is one without."""
    token: str | None = None
    """The public id of the token that the actor used, whose limits apply to the change; None without a token."""


SYSTEM = Actor("system", "system")


def quarantine_id(project: str, version: str) -> str:
    """Return the id of the workflow that drives a release's quarantine: `quarantine/<project>/<version>`."""
    return f"quarantine/{project}/{version}"
