"""The name of a distribution file, split into project, version and type, including the types from before PEP 427."""

from typing import NamedTuple

from packaging.utils import NormalizedName


class FilenameParts(NamedTuple):
    """The parts of a filename, as it states them: neither the project nor the version is normalised."""

    project: str
    version: str
    kind: str
    """`wheel`, `sdist`, `egg`, `wininst`, `msi`, `rpm` or `dumb`, as the tools that built such files called them."""


def split_filename(filename: str, project: NormalizedName | None = None) -> FilenameParts | None:
    """Return the parts of a filename, or None if it is not that of a distribution.

    `project`, if it is known, decides which dash of an old filename is the one before the version.
    """
    # Imported only when it is needed: it brings an HTML parser and an HTTP client, which most commands never use.
    from pypi_simple import UnparsableFilenameError, parse_filename  # noqa: PLC0415

    try:
        return FilenameParts(*parse_filename(filename, project_hint=project))
    except UnparsableFilenameError:
        return None
