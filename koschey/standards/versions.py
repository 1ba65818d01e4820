"""Versions (PEP 440) in the hands of strangers: parsing that never raises, whatever the text is.

`packaging.version.Version` raises `InvalidVersion` for most texts, and `ValueError` for a number of more digits than
Python converts (4,300 by default).
"""

from packaging.utils import canonicalize_version
from packaging.version import InvalidVersion, Version

MAX_LENGTH = 1000
"""Characters of a version; filenames are shorter, and so are the versions that they state."""


def parse_version_or_none(text: str) -> Version | None:
    """Return the version that a text is, or None."""
    if len(text) > MAX_LENGTH:
        return None
    try:
        return Version(text)
    except (InvalidVersion, ValueError):
        return None


def normalise_version(text: str) -> str:
    """Return a version in its normal form; a text that is no PEP 440 version is returned as it is."""
    version = parse_version_or_none(text)
    return text if version is None else str(version)


def version_identity(text: str) -> str:
    """Return what all spellings of a version share: `1.0` and `1.0.0` are one release (PEP 440)."""
    version = parse_version_or_none(text)
    return text if version is None else canonicalize_version(version)
