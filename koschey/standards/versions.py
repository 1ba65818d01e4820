"""Versions, specifiers and requirements (PEP 440, PEP 508) in untrusted texts: parsed within bounds, or not at all.

`packaging` raises more than its own errors: Python converts no number of more than 4,300 digits (`ValueError`), and
`packaging` converts the number in a specifier only when it compares or hashes it. So texts are bounded before they are
parsed, and the results can be compared, hashed and printed without an error.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_version
from packaging.version import Version

MAX_VERSION = 250
"""Maximum number of characters of a version. A filename, which must contain it, has no more either."""
MAX_TEXT = 2**14
"""Maximum number of characters of a requirement, or a set of specifiers. Poetry's longest markers have about 5,000."""
NO_VERSION = Version("0")
"""Placeholder in a sort key for a missing version; no version is compared with it."""
NORMAL_VERSION = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*")
"""Versions that are in their normalised form, as far as that is plain: numbers with dots."""
LONG_NUMBER = re.compile(r"[0-9]{251}")


@lru_cache(maxsize=10_000)
def parse_version_or_none(text: str) -> Version | None:
    """Return the version (PEP 440), or None if the text is not a version, or is too long."""
    return _parse(Version, text) if len(text) <= MAX_VERSION else None


def version_key(text: str) -> tuple[bool, Version, str]:
    """Return a key that sorts by PEP 440; texts that are not versions come first, by their text. Raises nothing."""
    version = parse_version_or_none(text)
    return version is not None, version or NO_VERSION, text


def normalise_version(text: str) -> str:
    """Return a version as PEP 440 normalises it, or the text itself if it is not a version. Raises nothing."""
    if len(text) <= MAX_VERSION and NORMAL_VERSION.fullmatch(text):
        return text
    version = parse_version_or_none(text)
    return text if version is None else str(version)


def canonical_version(text: str) -> str:
    """Return the same text for equal versions (PEP 440: 1.0 is 1.0.0). Raises nothing."""
    version = parse_version_or_none(text)
    return text if version is None else canonicalize_version(version)


def parse_specifiers_or_none(text: str) -> SpecifierSet | None:
    """Return the specifiers (PEP 440), or None if the text is something else, or is longer than `MAX_TEXT`."""
    return _parse(SpecifierSet, text) if _is_bounded(text) else None


def parse_requirement_or_none(text: str) -> Requirement | None:
    """Return the requirement (PEP 508), or None if the text is not a requirement, or is longer than `MAX_TEXT`."""
    return _parse(Requirement, text) if _is_bounded(text) else None


def _is_bounded(text: str) -> bool:
    return len(text) <= MAX_TEXT and not LONG_NUMBER.search(text)


def _parse[T](parser: Callable[[str], T], text: str) -> T | None:
    try:
        return parser(text)
    # The errors of `packaging` are subclasses of it.
    except ValueError:
        return None
