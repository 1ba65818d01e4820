"""Filenames of sdists: those of PEP 625, and older ones. The sandboxed child imports it, so it imports little."""

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from koschey.standards.versions import parse_version_or_none

SUFFIX = ".tar.gz"
"""The suffix of an sdist's filename (PEP 625)."""
OLD_SUFFIXES = (".zip", ".tar.bz2", ".tgz", ".tar.xz")
"""Other suffixes that distutils could write, and that pip still installs."""


def sdist_suffix(filename: str) -> str | None:
    """Return the suffix of an sdist's filename, old or new; None if it is not the filename of an sdist."""
    return next((suffix for suffix in (SUFFIX, *OLD_SUFFIXES) if filename.endswith(suffix)), None)


def split_sdist_filename(filename: str, project: NormalizedName) -> tuple[NormalizedName, Version] | None:
    """Return the project and the version of an sdist's filename; None if it names none.

    Before PEP 625 both could have hyphens (`my-pkg-1.0-1.tar.gz`). The split that gives the name of `project` counts;
    if there is none, the split at the last hyphen.
    """
    suffix = sdist_suffix(filename)
    if suffix is None:
        return None
    parts = filename.removesuffix(suffix).split("-")
    splits = [("-".join(parts[:at]), "-".join(parts[at:])) for at in range(len(parts) - 1, 0, -1)]
    for name, text in splits:
        version = parse_version_or_none(text)
        if version is not None and canonicalize_name(name) == project:
            return project, version
    name, text = splits[0] if splits else ("", "")
    version = parse_version_or_none(text)
    return (canonicalize_name(name), version) if name and version is not None else None
