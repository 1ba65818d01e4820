"""A report on what an archive contains: bounded, plain enough for JSON, and without anything that could be executed.

The child makes it while it checks the rules of an archive. The other side of the pipe parses it by the same types,
because an archive may have taken over the child. The child imports this module, so it imports little.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

SCRIPTS = ("console_scripts", "gui_scripts")
"""Groups of entry points that become commands."""


class Member(NamedTuple):
    """One member of an archive."""

    name: str
    size: int
    """Inflated size in bytes."""
    kind: str
    """`file`, `native` (a file with machine code), `folder` or `link`."""


@dataclass(frozen=True, slots=True)
class DescribedMetadata:
    """The legible fields of METADATA or PKG-INFO."""

    sha256: str
    project: str | None = None
    """Normalised."""
    version: str | None = None
    """As PEP 440 normalises it; None if it is not a version."""
    requires_python: str | None = None
    requires_dist: tuple[str, ...] = ()
    fault: str | None = None
    """Why an upload with this metadata would be refused."""
    ambiguous: bool = False
    """Whether a field that tools act on is unreadable, or can be read in different ways."""


@dataclass(frozen=True, slots=True)
class Content:
    """The report. Names in lists leave out what changes with the version: see the module `collector`."""

    refused: str | None = None
    """The rule that the archive breaks; the other fields are then empty."""
    files: int = 0
    """Number of members that are files."""
    inflated: int = 0
    """Inflated size of all members together, in bytes."""
    members: tuple[Member, ...] = ()
    native: tuple[str, ...] = ()
    """Files with machine code, by their suffix or their first bytes."""
    pth: tuple[str, ...] = ()
    """Files of which Python executes lines at every start, after they have been installed."""
    digests: dict[str, str] = field(default_factory=dict)
    """SHA-256 of files that run by themselves: of every `.pth`, and of an sdist's `setup.py`."""
    hooks: tuple[str, ...] = ()
    """What runs when an sdist is built: `setup.py`, `cmdclass`, `backend-path`."""
    build_backend: str | None = None
    """PEP 517; None for a wheel, and if an sdist names none."""
    build_requires: tuple[str, ...] = ()
    """PEP 518."""
    entry_points: dict[str, dict[str, str]] = field(default_factory=dict)
    """The targets of entry points, by group and name."""
    top_level: tuple[str, ...] = ()
    """Names at the top: importable names of a wheel; files and folders of an sdist."""
    metadata: DescribedMetadata | None = None
    truncated: tuple[str, ...] = ()
    """Fields that are incomplete, because there was too much or because it could not be read."""

    @property
    def scripts(self) -> dict[str, str]:
        """Commands that are installed, and their targets."""
        return {name: target for group in SCRIPTS for name, target in self.entry_points.get(group, {}).items()}
