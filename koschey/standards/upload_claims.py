"""The metadata that an upload form states beside its file, and whether the file's own metadata says the same.

Koschey stores and serves only the metadata in the file. It refuses a form that says something else: either the client
is broken, or somebody wants people to see another file than installers do. Values are compared by meaning, because
honest clients write one value in many ways.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Mapping

from packaging.utils import canonicalize_name

from koschey.errors import Refused
from koschey.standards.core_metadata import INDENTED, REPEATABLE, SINGLE, CoreMetadata
from koschey.standards.versions import parse_requirement_or_none, parse_specifiers_or_none

type Claims = Mapping[str, tuple[str, ...]]
"""The fields that a form states, under their names in `CoreMetadata`."""

ONCE = (*(field for field in SINGLE if field not in ("metadata_version", "name", "version")), "description")
"""Fields that occur once. Not `name` and `version`, which belong to the form itself, nor `metadata_version`, for which
flit sends a constant."""
RENAMED = {
    "platform": "platforms",
    "supported_platform": "supported_platforms",
    "license_file": "license_files",
    "import_name": "import_names",
    "import_namespace": "import_namespaces",
}
"""Repeatable fields that forms have in the singular. uv sends the last two in the plural, so both are accepted."""
FIELDS = {field: field for field in (*ONCE, *REPEATABLE)} | RENAMED

PARTLY = frozenset(REPEATABLE) - {"classifiers", "project_urls", "requires_dist", "provides_extra"}
"""Fields of which some clients send only the last value. hatch does so if it does not know that one is repeatable."""
UNWRITTEN = frozenset({"license", "download_url"}) | {
    "platforms",
    "supported_platforms",
    "provides",
    "requires",
    "obsoletes",
    "provides_dist",
    "obsoletes_dist",
}
"""Fields that flit states in its form but does not write into the metadata that it builds."""
SHOWN = 80


def read_claims(fields: Iterable[tuple[str, str]]) -> Claims:
    """Return what a form states. Raises `Refused` if it gives two values for a field that occurs once."""
    claims: dict[str, list[str]] = {}
    for name, text in fields:
        field = FIELDS.get(name)
        if field is None or text.strip() in ("", "UNKNOWN"):
            continue
        given = claims.setdefault(field, [])
        if field in ONCE and given and given != [text]:
            raise Refused(f"The form gives {name!r} twice, with different values.")
        given.append(text)
    return {field: tuple(given) for field, given in claims.items()}


def check_claims(claims: Claims, core: CoreMetadata, where: str) -> None:
    """Raise `Refused` if a form contradicts `core`; `where` names the place of `core` in the message."""
    for field, given in claims.items():
        value: str | tuple[str, ...] | None = getattr(core, field)
        found = (value,) if isinstance(value, str) else value or ()
        # Most clients repeat what the file says, so nothing has to be parsed.
        if set(given) == set(found) or (not found and field in UNWRITTEN):
            continue
        meaning = MEANINGS.get(field, _words)
        claimed, stated = {meaning(text) for text in given}, {meaning(text) for text in found}
        if claimed != stated and not (field in PARTLY and claimed <= stated):
            raise Refused(f"The form says {field} {_shown(given)}, but {where} says {_shown(found)}.")


def _shown(values: tuple[str, ...]) -> str:
    text = ", ".join(values)
    return ascii(text if len(text) <= SHOWN else text[:SHOWN] + "...") if values else "nothing"


def _words(text: str) -> Hashable:
    """Return the words of a text: folded lines in headers and other line ends in forms have no meaning."""
    return tuple(INDENTED.sub("\n", text).split())


def _keywords(text: str) -> Hashable:
    return frozenset(word for word in re.split(r"[,\s]+", text) if word)


def _content_type(text: str) -> Hashable:
    return frozenset(part.strip().lower() for part in text.split(";"))


def _specifiers(text: str) -> Hashable:
    specifiers = parse_specifiers_or_none(text)
    return _words(text) if specifiers is None else specifiers


def _labelled(text: str) -> Hashable:
    label, _, url = text.partition(",")
    return label.strip(), url.strip()


def _requirement(text: str) -> Hashable:
    found = parse_requirement_or_none(text)
    if found is None:
        return _words(text)
    extras = frozenset(canonicalize_name(extra) for extra in found.extras)
    return canonicalize_name(found.name), extras, found.specifier, str(found.marker), found.url


MEANINGS: Mapping[str, Callable[[str], Hashable]] = {
    "keywords": _keywords,
    "description_content_type": _content_type,
    "requires_python": _specifiers,
    "project_urls": _labelled,
    "requires_dist": _requirement,
    "provides_dist": _requirement,
    "obsoletes_dist": _requirement,
    "provides_extra": canonicalize_name,
}
"""How two values of a field are compared; other fields are compared word by word."""
