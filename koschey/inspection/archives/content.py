"""What an archive contains, as a report: bounded, plain enough for JSON, and made of nothing that could be executed.

The child makes it while it reads an archive for its rules. The other side of the pipe takes it apart again by these
very types, because an archive may have taken the child over. Light, because the child imports it.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

SCRIPTS = ("console_scripts", "gui_scripts")
"""Groups of entry points that become commands."""


class Member(NamedTuple):
    """One member, by its name in the archive."""

    name: str
    size: int
    """Bytes when inflated."""
    kind: str
    """`file`, `native` (a file with machine code), `folder` or `link`."""


@dataclass(frozen=True, slots=True)
class Described:
    """What METADATA or PKG-INFO says, as far as it is legible."""

    sha256: str
    project: str | None = None
    """Normalised."""
    version: str | None = None
    """As PEP 440 normalises it; None where it is none."""
    requires_python: str | None = None
    requires_dist: tuple[str, ...] = ()
    fault: str | None = None
    """Why an upload with it would be refused."""
    ambiguous: bool = False
    """Whether tools can read a field that they act on in different ways, or not at all."""


@dataclass(frozen=True, slots=True)
class Content:
    """The report. Names in lists are relative to what changes with the version: see `Collector`."""

    refused: str | None = None
    """Which rule the archive breaks; nothing else is known of it then."""
    files: int = 0
    """How many members are files."""
    inflated: int = 0
    """Bytes of all members together."""
    members: tuple[Member, ...] = ()
    native: tuple[str, ...] = ()
    """Files with machine code: by their suffix, or by their first bytes."""
    pth: tuple[str, ...] = ()
    """Files that Python executes lines of at every start, once they are installed."""
    digests: dict[str, str] = field(default_factory=dict)
    """sha256 of what runs by itself: of every `.pth`, and of an sdist's `setup.py`."""
    hooks: tuple[str, ...] = ()
    """What runs when an sdist is built: `setup.py`, `cmdclass`, `backend-path`."""
    build_backend: str | None = None
    """PEP 517; None for a wheel, and where an sdist names none."""
    build_requires: tuple[str, ...] = ()
    """PEP 518."""
    entry_points: dict[str, dict[str, str]] = field(default_factory=dict)
    """By group and name: what they lead to."""
    top_level: tuple[str, ...] = ()
    """What lies at the top: importable names of a wheel; files and folders of an sdist."""
    metadata: Described | None = None
    truncated: tuple[str, ...] = ()
    """Which of these are not all there, because there were too many."""

    @property
    def scripts(self) -> dict[str, str]:
        """Commands that are installed, and what they lead to."""
        return {name: target for group in SCRIPTS for name, target in self.entry_points.get(group, {}).items()}
