"""What kind of address a text is: of the web, of a repository, another harmless one, or none."""

import re
from enum import Enum, auto
from urllib.parse import urlsplit

WEB = ("http", "https")
REPOSITORY = re.compile(r"ssh|git|svn|hg|bzr|lp|(git|svn|hg|bzr)\+(ssh|https?|git|svn|lp)")
"""Schemes of repositories, as pip writes them too."""
SCP = re.compile(r"[\w.-]+@[\w.-]+:[^\s:][^\s]*")
"""How git writes an address for ssh: `git@host:path`."""
BARE = re.compile(r"[\w-]+(\.[\w-]+)+(:[0-9]+)?(/[^\s]*)?")
"""A host with a dot, and perhaps a path, without a scheme."""


class Address(Enum):
    """The kinds."""

    WEB = auto()
    REPOSITORY = auto()
    OTHER = auto()
    """Harmless, but nothing that a browser can follow: ftp, or a host without a scheme."""
    NONE = auto()
    """No address, or one that runs something where it is followed, as `javascript:` does."""


def kind_of(text: str) -> Address:
    """Return the kind. What is not known to be harmless is none."""
    if " " in text or not text.isprintable():
        return Address.NONE
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname)
    except ValueError:
        return Address.NONE
    if has_host and parts.scheme in WEB:
        return Address.WEB
    if (has_host and REPOSITORY.fullmatch(parts.scheme)) or SCP.fullmatch(text):
        return Address.REPOSITORY
    if (has_host and parts.scheme == "ftp") or BARE.fullmatch(text):
        return Address.OTHER
    return Address.NONE
