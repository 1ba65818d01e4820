"""Filenames of sdists: those of PEP 625, and those that build tools wrote before it. Light: the child imports it."""

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from koschey.standards.versions import parse_version_or_none

SUFFIX = ".tar.gz"
"""PEP 625: "The sdist filename" ends so."""
OLD_SUFFIXES = (".zip", ".tar.bz2", ".tgz", ".tar.xz")
"""What distutils could write besides, and pip installs still."""


def sdist_suffix(filename: str) -> str | None:
    """Return the suffix by which the filename is that of an sdist, old or new; None where it is not."""
    return next((suffix for suffix in (SUFFIX, *OLD_SUFFIXES) if filename.endswith(suffix)), None)


def split_sdist_filename(filename: str, project: NormalizedName) -> tuple[NormalizedName, Version] | None:
    """Return project and version of an sdist's filename; None where it names none.

    Before PEP 625 both could have hyphens (`my-pkg-1.0-1.tar.gz`). The split that gives the name of `project` counts;
    where there is none, the last hyphen.
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
