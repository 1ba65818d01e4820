"""Core metadata: METADATA of a wheel, PKG-INFO of an sdist (PEP 241, 314, 345, 566, 643, 639, 794, 808).

Two readers of one form. `parse_core_metadata` is for uploads: strict about what Koschey and installers act on, lenient
where build tools of many years were (they wrote fields before the version of the metadata that introduced them, and
fields of their own). `read_core_metadata` is for what is mirrored: it takes what is legible, and judges nothing.
"""

import email.parser
import re
from collections.abc import Iterable
from dataclasses import dataclass

from packaging.metadata import InvalidMetadata, Metadata, parse_email
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from koschey.errors import Refused

NOT_JUDGED = frozenset({"license_files"})
"""Written for years, in forms of its own, before PEP 639 defined it."""
ACTED_ON = ("metadata_version", "name", "version", "requires_python", "requires_dist", "provides_extra")
"""Fields of which a second or an unreadable value would be silently lost."""
NEWEST, KNOWN = "2.6", "2.5"
"""PEP 808 has no new field, so whoever knows only the version before can judge it all the same."""

SINGLE = (
    *("metadata_version", "name", "version", "summary", "description_content_type", "keywords", "home_page"),
    *("download_url", "author", "author_email", "maintainer", "maintainer_email", "license", "license_expression"),
    "requires_python",
)
"""Fields that stand once; the header has hyphens for underscores."""
REPEATABLE = {
    "classifiers": "classifier",
    "project_urls": "project-url",
    "platforms": "platform",
    "supported_platforms": "supported-platform",
    "license_files": "license-file",
    "import_names": "import-name",
    "import_namespaces": "import-namespace",
    **{
        name: name.replace("_", "-")
        for name in ("requires_dist", "provides_dist", "obsoletes_dist", "requires_external", "provides_extra")
    },
    **{name: name for name in ("requires", "provides", "obsoletes", "dynamic")},
}
"""Fields that may stand many times, and their headers."""
SEVERAL_LINES = ("license",)
"""Single fields whose line breaks mean something."""
INDENTED = re.compile(r"\n(?: {8}| {7}\|)")
"""How a description in a header marks the lines that follow its first (PEP 314, 566)."""


@dataclass(frozen=True, slots=True)
class CoreMetadata:
    """The metadata of a distribution. Empty fields and those that say "UNKNOWN" are absent: None, or no item."""

    project: NormalizedName
    version: Version | None
    """None where it is not PEP 440, as only mirrored metadata may be."""
    metadata_version: str | None
    name: str
    """As it is written there."""
    summary: str | None
    description: str | None
    description_content_type: str | None
    keywords: str | None
    home_page: str | None
    download_url: str | None
    author: str | None
    author_email: str | None
    maintainer: str | None
    maintainer_email: str | None
    license: str | None
    license_expression: str | None
    requires_python: str | None
    """As it is written there: pages repeat it, and installers parse it."""
    classifiers: tuple[str, ...]
    project_urls: tuple[str, ...]
    """Each is "Label, URL", as it is written there."""
    requires_dist: tuple[str, ...]
    provides_dist: tuple[str, ...]
    obsoletes_dist: tuple[str, ...]
    requires_external: tuple[str, ...]
    provides_extra: tuple[str, ...]
    requires: tuple[str, ...]
    provides: tuple[str, ...]
    obsoletes: tuple[str, ...]
    dynamic: tuple[str, ...]
    platforms: tuple[str, ...]
    supported_platforms: tuple[str, ...]
    license_files: tuple[str, ...]
    import_names: tuple[str, ...]
    import_namespaces: tuple[str, ...]


def parse_core_metadata(body: bytes, filename: str) -> CoreMetadata:
    """Read and validate core metadata. Raises `Refused`; `filename` names it in the message."""
    raw, unparsed = parse_email(body)
    for field in ACTED_ON:
        written = field.replace("_", "-")
        if written in unparsed:
            raise Refused(f"Invalid {filename}: {written.title()} is given twice, or is not readable.")
    if raw.get("metadata_version") == NEWEST:
        raw["metadata_version"] = KNOWN
    metadata = Metadata.from_raw(raw, validate=False)
    try:
        for field in sorted({*raw, "metadata_version", "name", "version"} - NOT_JUDGED):
            getattr(metadata, field)
    except InvalidMetadata as error:
        raise Refused(f"Invalid {filename}: {error}.") from None
    core = read_core_metadata(body)
    if core is None or core.project != canonicalize_name(metadata.name) or core.version != metadata.version:
        raise Refused(f"Invalid {filename}: Name and Version are missing, or can be read in two ways.")
    return core


def read_core_metadata(body: bytes) -> CoreMetadata | None:
    """Return what is legible of core metadata, of any age and in any state; None where it names no project."""
    message = email.parser.HeaderParser().parsestr(_decode(body))
    single = {field: _first(message.get_all(field.replace("_", "-"), ()), field) for field in SINGLE}
    repeatable = {
        field: tuple(value for text in message.get_all(header, ()) if (value := _present(_one_line(str(text)))))
        for field, header in REPEATABLE.items()
    }
    name, version = single.pop("name"), single.pop("version")
    if name is None:
        return None
    header = INDENTED.sub("\n", str(message.get("Description", "")))
    return CoreMetadata(
        project=canonicalize_name(name),
        version=_version(version or ""),
        name=name,
        description=_description(str(message.get_payload())) or _description(header),
        **single,  # type: ignore[arg-type] # the names are the fields'
        **repeatable,  # type: ignore[arg-type]
    )


def _decode(body: bytes) -> str:
    """Return the text: UTF-8 since PEP 566, anything before. A NUL is no text, and PostgreSQL takes none."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = body.decode("latin-1")
    return text.replace("\0", "")


def _first(values: Iterable[object], field: str) -> str | None:
    text = next((str(value) for value in values), "")
    return _present(INDENTED.sub("\n", text) if field in SEVERAL_LINES else _one_line(text))


def _description(text: str) -> str | None:
    """Return a description with its own indentation, which reStructuredText reads, and with one kind of line end."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip("\n") if _present(text) else None


def _one_line(text: str) -> str:
    return " ".join(line.strip() for line in text.splitlines())


def _present(text: str) -> str | None:
    """Return None for what old build tools wrote where there was nothing."""
    return None if text.strip() in ("", "UNKNOWN") else text.strip()


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
