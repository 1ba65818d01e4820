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
"""PEP 629. PEP 833 freezes HTML at this version permanently."""


@dataclass(frozen=True, slots=True)
class ProjectPage:
    """What is served of a project now. Every file has a digest, a path and a version."""

    name: NormalizedName
    serial: Serial
    files: tuple[File, ...]
    status: ProjectStatus = ProjectStatus.ACTIVE
    status_reason: str | None = None
    own_addresses: Addresses = NOWHERE
    """The addresses of this index."""
    upstream: str | None = None
    """The Simple API that the project is mirrored from; None for a hosted project."""
    lasts: float = math.inf
    """Seconds until the page changes by itself: until the next rule about the project expires."""
    announced: tuple[File, ...] = ()
    """Held files that the Simple API lists as yanked, with the reason why they are held. No other page shows them."""
    held: int = 0
    """The number of held files that are not listed at all."""
    depth: int = 2
    """The number of folders between the root and the page: two at `/simple/<project>/`."""

    @property
    def listed(self) -> tuple[File, ...]:
        """All files that the Simple API lists."""
        return self.files + self.announced

    @property
    def versions(self) -> list[str]:
        """PEP 700: "all of the project version strings uploaded for this project", oldest first."""
        return sorted({file.version for file in self.listed}, key=version_key)

    def provenance_of(self, file: File) -> str | None:
        """Return the URL of a file's provenance object, or None.

        PEP 740: "The value MUST be a fully qualified URL" on a secure origin, so an index over plain http links none.
        """
        if not file.has_provenance or not is_secure(self.own_addresses.root):
            return None
        return self.own_addresses.absolute(provenance(self.name, file.version, file.filename))

    def record_of(self, file: File) -> str:
        """Return the URL of a file's PEP 710 record."""
        return self.url_of(file) + ".provenance_url.json"

    def url_of(self, file: File) -> str:
        """Return the absolute URL of a file, for clients that do not read it on the page."""
        assert file.path is not None
        return self.own_addresses.absolute(quote_path(file.path))

    def link_to(self, file: File) -> str:
        """Return the URL of a file relative to the page: the same under every address of the index (PEP 503, 691)."""
        assert file.path is not None
        return relative(quote_path(file.path), self.depth)


def yank_reason(file: File) -> str | None:
    """Return why a file is yanked, cleaned because installers print it; empty without a reason, None if not yanked."""
    return None if file.yanked is None else on_one_line(file.yanked)


def is_secure(url: str) -> bool:
    """Return whether an origin is https, or this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1")
