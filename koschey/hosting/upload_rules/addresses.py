"""Classifies a text as an address of the web, of a repository, another harmless address, or none."""

import re
from enum import Enum, auto
from urllib.parse import urlsplit

WEB = ("http", "https")
REPOSITORY = re.compile(r"ssh|git|svn|hg|bzr|lp|(git|svn|hg|bzr)\+(ssh|https?|git|svn|lp)")
"""Schemes of repositories, including pip's forms."""
SCP = re.compile(r"[\w.-]+@[\w.-]+:[^\s:][^\s]*")
"""git's form of an ssh address: `git@host:path`."""
BARE = re.compile(r"[\w-]+(\.[\w-]+)+(:[0-9]+)?(/[^\s]*)?")
"""A host with a dot, and perhaps a path, without a scheme."""


class Address(Enum):
    """The kinds of addresses."""

    WEB = auto()
    REPOSITORY = auto()
    OTHER = auto()
    """Harmless, but not a link: ftp, mailto, a host without a scheme, or words such as "see the wiki"."""
    NONE = auto()
    """Not an address, or one that runs something when it is followed, as `javascript:` does."""


def kind_of(text: str) -> Address:
    """Return the kind of address. A text that is not known to be harmless is `NONE`."""
    if not text or not text.isprintable():
        return Address.NONE
    if ":" not in text:
        # An address without a scheme runs nothing.
        return Address.OTHER
    return Address.NONE if " " in text else _kind_of_url(text)


def _kind_of_url(text: str) -> Address:
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname)
    except ValueError:
        return Address.NONE
    if has_host and parts.scheme in WEB:
        return Address.WEB
    if (has_host and REPOSITORY.fullmatch(parts.scheme)) or SCP.fullmatch(text):
        return Address.REPOSITORY
    if (has_host and parts.scheme == "ftp") or parts.scheme == "mailto" or BARE.fullmatch(text):
        return Address.OTHER
    return Address.NONE
