"""Names of projects, releases and files, and the public path of a file (PEP 503, 440, 427, 625)."""

import re
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

from packaging.utils import NormalizedName, canonicalize_name

from koschey.errors import UsageError
from koschey.model import Sha256
from koschey.standards.filenames import split_filename
from koschey.standards.versions import normalise_version, parse_version_or_none

VALID_NAME = re.compile(r"([A-Z0-9]|[A-Z0-9][A-Z0-9._-]*[A-Z0-9])", re.IGNORECASE | re.ASCII)
MAX_NAME = 200
MAX_FILENAME = 250
SHOWN = 80
"""Maximum number of characters of a text that a message repeats."""
MAX_DASHES = 12
"""Maximum number of dashes of a filename that are tried as the one before the version."""

PUBLIC_INDEX_PATH = re.compile(r"/packages/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}/[^/]+")
"""The form of file paths on the public index: blake2b-256 of the bytes, split. Koschey keeps it, so that lock files
stay portable."""

USUAL_VERSION = r"([0-9]+(?:\.[0-9]+)*(?:(?:a|b|rc|\.post|\.dev)[0-9]+)*)"
USUAL_FILENAME = re.compile(
    rf"([A-Za-z0-9](?:[A-Za-z0-9._]*[A-Za-z0-9])?)-{USUAL_VERSION}(?:-[A-Za-z0-9_.]+){{3}}\.whl"
    rf"|([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)-{USUAL_VERSION}(?:\.tar\.gz|\.zip)"
)
"""Almost all filenames: a wheel without a build number, or an sdist, of a version in digits. They are read in one step;
`split_filename` reads the same out of them."""
SAFE_FILENAME = re.compile(r"[!$&()*+,\-0-9:;=@A-Z\[\]^_a-z{|}~][!$&()*+,\-.0-9:;=@A-Z\[\]^_a-z{|}~]*")
UNRESERVED_PATH = re.compile(r"[A-Za-z0-9_.~/-]*")
PLAIN_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]+)?(/[A-Za-z0-9_.~/-]*)")
"""URLs whose path contains nothing that is percent-encoded, and that end with it."""


def parse_name(text: str) -> NormalizedName:
    """Return the normalised name (PEP 503). Raises `UsageError` if the text is not a project name."""
    if len(text) > MAX_NAME or not VALID_NAME.fullmatch(text):
        raise UsageError(
            f"{_shown(text)} is not a project name: use ASCII letters, digits, '.', '_' and '-', "
            "with a letter or digit at both ends"
        )
    return canonicalize_name(text)


def parse_version(text: str) -> str:
    """Return a version as PEP 440 normalises it. Raises `UsageError` if the text is not a version."""
    version = parse_version_or_none(text)
    if version is None:
        raise UsageError(f"{_shown(text)} is not a version (PEP 440)")
    return str(version)


def parse_specifier(text: str) -> tuple[NormalizedName, str]:
    """Split `name==version`. Raises `UsageError` for every other form."""
    name, separator, version = text.partition("==")
    if not separator or not version.strip("= "):
        raise UsageError(f"{text!r} does not name a single release; write it as 'name==version'")
    return parse_name(name.strip()), parse_version(version.strip())


def parse_scope(text: str) -> tuple[NormalizedName, str | None]:
    """Split `name` or `name==version`; the version is None for the whole project."""
    return parse_specifier(text) if "=" in text else (parse_name(text.strip()), None)


def version_of(filename: str, project: NormalizedName) -> str | None:
    """Return the version that a mirrored file's name states, or None.

    It is lenient on purpose: upstreams have eggs and sdists from before PEP 440, and Koschey passes them on.
    """
    if (usual := USUAL_FILENAME.fullmatch(filename)) and _normalised(usual[1] or usual[3]) == project:
        return normalise_version(usual[2] or usual[4])
    parts = split_filename(filename, project)
    if parts is None or _normalised(parts.project) != project:
        return None
    return normalise_version(parts.version)


def possible_projects(filename: str) -> list[NormalizedName]:
    """Return the projects whose page may list a file of this name with a version, the most likely first.

    A wheel names one project. In other filenames, each dash may be the one before the version. The most likely is a
    dash before a PEP 440 version, and then the last dash, because a version seldom contains one.
    """
    if not is_safe_filename(filename):
        return []
    dashes = [place for place, letter in enumerate(filename) if letter == "-"][:MAX_DASHES]
    likely: dict[NormalizedName, bool] = {}
    for stem in (filename[:place] for place in dashes):
        if VALID_NAME.fullmatch(stem) and (version := version_of(filename, canonicalize_name(stem))):
            likely.setdefault(canonicalize_name(stem), parse_version_or_none(version) is not None)
    return sorted(likely, key=lambda name: (not likely[name], -len(name)))


def is_safe_filename(filename: str) -> bool:
    """Return whether a filename is safe in a header, a URL and a page: printable ASCII, one segment, no delimiters."""
    return len(filename) <= MAX_FILENAME and SAFE_FILENAME.fullmatch(filename) is not None


def public_path(url: str, filename: str, digest: Sha256 | None) -> str | None:
    """Return the public path of a mirrored file: the upstream's own if it has the public index's form.

    Otherwise it is built in the same form from a digest of the bytes, and is None while no digest is known.
    """
    path = plain[1] if (plain := PLAIN_URL.fullmatch(url)) else unquote(urlsplit(url).path)
    if PUBLIC_INDEX_PATH.fullmatch(path) and path.endswith("/" + filename):
        return path
    return digest_path(digest, filename) if digest else None


def digest_path(digest: str, filename: str) -> str:
    """Return the path under `/packages/` for 64 hex digits."""
    return f"/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{filename}"


def path_digest(path: str) -> str | None:
    """Return the blake2b-256 that a path in the public index's form states, or None."""
    return "".join(path.split("/")[2:5]) if PUBLIC_INDEX_PATH.fullmatch(path) else None


def quote_path(path: str) -> str:
    """Percent-encode a public path: `+` and `!` too, since clients compare the last segment with the filename."""
    return path if UNRESERVED_PATH.fullmatch(path) else quote(path, safe="/")


@lru_cache(maxsize=10_000)
def _normalised(name: str) -> NormalizedName:
    return canonicalize_name(name)


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "…")
