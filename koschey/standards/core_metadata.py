"""Core metadata: METADATA of a wheel, PKG-INFO of an sdist (PEP 241, 314, 345, 566, 643, 639, 794, 808).

There are two readers. `parse_core_metadata` is for uploads: strict about the fields that Koschey and installers act
on, and lenient about what build tools wrote for many years (fields that a later version of the metadata introduced,
and fields of their own). `read_core_metadata` is for mirrored files: it reads what is legible, and judges nothing.
"""

import email.parser
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from packaging.metadata import InvalidMetadata, Metadata, RawMetadata, parse_email
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from koschey.errors import Refused
from koschey.standards.versions import parse_requirement_or_none, parse_specifiers_or_none, parse_version_or_none

MAX_FIELDS = 20_000
"""Maximum number of fields in one METADATA. The largest on the public index (boto3-stubs, apache-airflow) have about
3,000."""
MAX_NAMES = 200
"""Maximum number of different field names. The standards define 32, and `packaging` needs quadratic time for more."""
MAX_LINE_ENDS = 500_000
MAX_TEXT = 2**14
"""Maximum number of characters of a field that is parsed further."""
MAX_REQUIREMENTS = 4 * 2**20
"""Maximum number of characters of all requirements together: parsing these takes a second."""
LINE_END = r"(?:\r\n|\r(?!\n)|\n)"
BLANK_LINE = re.compile(rf"{LINE_END}{{2}}".encode())

PARSED: Mapping[str, Callable[[str], object]] = {
    "version": parse_version_or_none,
    "requires_python": parse_specifiers_or_none,
    "requires_dist": parse_requirement_or_none,
}
"""Fields that this module parses, because `packaging` raises more than its own errors for long numbers."""
NOT_JUDGED = frozenset({"license_files", *PARSED})
"""Fields that `packaging` does not validate. Build tools wrote License-File in other forms before PEP 639."""
BOUNDED = ("description_content_type", "author_email", "maintainer_email", "home_page", "download_url", "name")
"""Other fields that may not be longer than `MAX_TEXT`: their parsers recurse, or need quadratic time."""
ACTED_ON = ("metadata_version", "name", "version", "requires_python", "requires_dist", "provides_extra")
"""Fields whose second or unreadable value would be lost silently."""
DRAFT, AFTER_DRAFT = "2.0", "2.1"
"""PEP 426 was withdrawn, but `wheel` 0.24 to 0.30 (2014 to 2018) wrote its version; the fields are those of 2.1."""
NEWEST, KNOWN = "2.6", "2.5"
"""PEP 808 adds no field, so a reader that knows only the version before can still validate it."""
JUDGED_AS = {DRAFT: AFTER_DRAFT, NEWEST: KNOWN}
UNKNOWN = "UNKNOWN"
"""What old build tools wrote for an empty field."""

SINGLE = (
    "metadata_version",
    "name",
    "version",
    "summary",
    "description_content_type",
    "keywords",
    "home_page",
    "download_url",
    "author",
    "author_email",
    "maintainer",
    "maintainer_email",
    "license",
    "license_expression",
    "requires_python",
)
"""Fields that occur once; their headers have hyphens instead of underscores."""
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
"""Fields that may occur many times, and their headers."""
SHOWN = 200
"""Maximum number of characters of a text that a message repeats."""
SEVERAL_LINES = ("license",)
"""Fields of `SINGLE` whose line breaks are significant."""
INDENTED = re.compile(r"\n(?: {8}| {7}\|)")
"""How a description in a header marks its second and later lines (PEP 314, 566)."""


@dataclass(frozen=True, slots=True)
class CoreMetadata:
    """The metadata of a distribution. Empty fields and fields with "UNKNOWN" are absent: None, or no item."""

    project: NormalizedName
    version: Version | None
    """None if it is not a PEP 440 version, which only mirrored metadata may have."""
    metadata_version: str | None
    name: str
    """As the metadata spells it."""
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
    """As the metadata spells it: pages repeat it, and installers parse it."""
    classifiers: tuple[str, ...]
    project_urls: tuple[str, ...]
    """Each is "Label, URL", as the metadata spells it."""
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
    summary_is_folded: bool = False
    """Whether the metadata has more than one line of summary; `summary` has one."""


def find_excess(body: bytes) -> str | None:
    """Return which bound METADATA breaks, as the end of a sentence; None if it can be parsed quickly."""
    if body.count(b"\n") + body.count(b"\r") > MAX_LINE_ENDS:
        return f"has more than {MAX_LINE_ENDS:,} line ends"
    names = _field_names(body)
    if len(names) > MAX_NAMES:
        return f"has fields of {len(names):,} different names, and at most {MAX_NAMES} are read"
    if names.total() > MAX_FIELDS:
        most = names.most_common(1)[0][0].decode(errors="replace").title()
        return f"has {names.total():,} fields, most of them {_shown(most)}, and at most {MAX_FIELDS:,} are read"
    return None


def _field_names(body: bytes) -> Counter[bytes]:
    names = Counter[bytes]()
    for line in BLANK_LINE.split(body, 1)[0].splitlines():
        if line[:1] in (b" ", b"\t"):
            continue
        name, colon, _ = line.partition(b":")
        if not colon:
            # The parser reads this line, and all after it, as the description.
            break
        names[name.lower()] += 1
    return names


def draft_fault(core: CoreMetadata, filename: str) -> str | None:
    """Return the fault of metadata that states the draft's version, or None; `filename` names it in the message."""
    if core.metadata_version != DRAFT:
        return None
    return f"Invalid {filename}: {DRAFT!r} is not a valid metadata version."


def parse_core_metadata(body: bytes, filename: str) -> CoreMetadata:
    """Read and validate core metadata. Raises `Refused`; `filename` names it in the message.

    It accepts what old build tools wrote: "UNKNOWN" for any field, the version 2.0, a summary of several lines. Upload
    rules judge the last two.
    """
    if excess := find_excess(body):
        raise Refused(f"Invalid {filename}: it {excess}.")
    parsed, unparsed = parse_email(body)
    for field in ACTED_ON:
        written = field.replace("_", "-")
        if written in unparsed:
            raise Refused(f"Invalid {filename}: {written.title()} is given twice, or is not readable.")
    raw = _without_relics(parsed)
    _check_texts(raw, filename)
    metadata = Metadata.from_raw(raw, validate=False)
    try:
        for field in sorted({*raw, "metadata_version", "name"} - NOT_JUDGED):
            getattr(metadata, field)
    except InvalidMetadata as error:
        raise Refused(f"Invalid {filename}: {_cut(str(error))}.") from None
    except RecursionError:
        raise Refused(f"Invalid {filename}: 'description-content-type' is nested too deeply.") from None
    core = read_core_metadata(body)
    version = parse_version_or_none(raw["version"])
    if core is None or core.project != canonicalize_name(metadata.name) or core.version != version:
        raise Refused(f"Invalid {filename}: Name and Version are missing, or can be read in two ways.")
    return core


def _without_relics(parsed: RawMetadata) -> RawMetadata:
    """Return the fields without those that say "UNKNOWN", and the others as current build tools write them."""
    raw: dict[str, object] = {}
    for field, value in parsed.items():
        if isinstance(value, str) and value.strip() != UNKNOWN:
            raw[field] = value
        elif isinstance(value, list) and (texts := [text for text in value if str(text).strip() != UNKNOWN]):
            raw[field] = texts
        elif isinstance(value, dict) and (urls := {label: url for label, url in value.items() if label != UNKNOWN}):
            raw[field] = urls
    version, summary = raw.get("metadata_version"), raw.get("summary")
    if isinstance(version, str):
        raw["metadata_version"] = JUDGED_AS.get(version, version)
    if isinstance(summary, str):
        raw["summary"] = _one_line(summary)
    return cast(RawMetadata, raw)


def _check_texts(raw: RawMetadata, filename: str) -> None:
    """Refuse texts that are too long for their parsers, or that `PARSED` cannot parse."""
    if not raw.get("version"):
        raise Refused(f"Invalid {filename}: 'version' is a required field.")
    if sum(map(len, raw.get("requires_dist", []))) > MAX_REQUIREMENTS:
        raise Refused(f"Invalid {filename}: 'requires-dist' has more than {MAX_REQUIREMENTS:,} characters in all.")
    for field in (*BOUNDED, *PARSED):
        found = raw.get(field, [])
        for text in [found] if isinstance(found, str) else cast(list[str], found):
            written = field.replace("_", "-")
            if field in BOUNDED and len(text) > MAX_TEXT:
                raise Refused(f"Invalid {filename}: {written!r} has more than {MAX_TEXT:,} characters.")
            if field in PARSED and PARSED[field](text) is None:
                raise Refused(f"Invalid {filename}: {_shown(text)} is invalid for {written!r}.")


def read_core_metadata(body: bytes) -> CoreMetadata | None:
    """Return the legible fields of core metadata of any age and in any condition.

    Returns None if it names no project, or if it breaks a bound (`find_excess`).
    """
    if find_excess(body):
        return None
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
        version=parse_version_or_none(version or ""),
        name=name,
        description=_description(str(message.get_payload())) or _description(header),
        summary_is_folded=len(str(message.get("Summary", "")).splitlines()) > 1,
        **single,  # type: ignore[arg-type] # the names are the fields'
        **repeatable,  # type: ignore[arg-type]
    )


def _decode(body: bytes) -> str:
    """Return the text: UTF-8 since PEP 566, any encoding before. NUL is removed, because PostgreSQL refuses it."""
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
    """Return the text, or None if it is empty or "UNKNOWN", which old build tools wrote instead."""
    return None if text.strip() in ("", UNKNOWN) else text.strip()


def _shown(text: str) -> str:
    return ascii(_cut(text))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."
