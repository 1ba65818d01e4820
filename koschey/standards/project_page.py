"""A project's page as Koschey serves it: the one source of truth for its JSON and its HTML form."""

import math
from dataclasses import dataclass
from urllib.parse import urlsplit

from packaging.utils import NormalizedName

from koschey.addresses import NOWHERE, Addresses, provenance, relative
from koschey.model import File, ProjectStatus, Serial
from koschey.standards.names import quote_path
from koschey.standards.versions import version_key
from koschey.texts import on_one_line

API_VERSION = "1.4"
"""PEP 629. PEP 833 freezes HTML at this version for ever."""


@dataclass(frozen=True, slots=True)
class ProjectPage:
    """What of a project is served now. Every file has a digest, a path and a version."""

    name: NormalizedName
    serial: Serial
    files: tuple[File, ...]
    status: ProjectStatus = ProjectStatus.ACTIVE
    status_reason: str | None = None
    ours: Addresses = NOWHERE
    """Where the index is."""
    upstream: str | None = None
    """The Simple API that the project is mirrored from; None for a hosted project."""
    lasts: float = math.inf
    """Seconds for which this stays true by itself: until the next rule about the project ends."""
    announced: tuple[File, ...] = ()
    """Held files that the Simple API lists as yanked, with the reason why they are held; nothing else shows them."""
    held: int = 0
    """How many held files are not listed at all."""
    depth: int = 2
    """How many folders below the root the page lies: two at `/simple/<project>/`."""

    @property
    def listed(self) -> tuple[File, ...]:
        """All files that the Simple API lists."""
        return self.files + self.announced

    @property
    def versions(self) -> list[str]:
        """PEP 700: "all of the project version strings uploaded for this project", oldest first."""
        return sorted({file.version for file in self.listed}, key=version_key)

    def provenance_of(self, file: File) -> str | None:
        """Return where the provenance object of a file is.

        PEP 740: "The value MUST be a fully qualified URL" on a secure origin, so a plain http index links none.
        """
        if not file.has_provenance or not is_secure(self.ours.root):
            return None
        return self.ours.absolute(provenance(self.name, file.version, file.filename))

    def record_of(self, file: File) -> str:
        """Return where the PEP 710 record of a file is."""
        return self.url_of(file) + ".provenance_url.json"

    def url_of(self, file: File) -> str:
        """Return where a file is, for those who read that elsewhere than on the page."""
        assert file.path is not None
        return self.ours.absolute(quote_path(file.path))

    def link_to(self, file: File) -> str:
        """Return where a file is, from the page: the same text whatever the index is reached under (PEP 503, 691)."""
        assert file.path is not None
        return relative(quote_path(file.path), self.depth)


def yank_reason(file: File) -> str | None:
    """Return why a file is yanked, cleaned, for installers print it; empty without a reason, None where it is not."""
    return None if file.yanked is None else on_one_line(file.yanked)


def is_secure(url: str) -> bool:
    """Tell whether an origin is https, or this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1")
