"""Core metadata: METADATA of a wheel, PKG-INFO of an sdist (PEP 241, 314, 345, 566, 643, 639, 794).

Strict about what Koschey and installers act on. Lenient where build tools of many years were: they wrote fields before
the version of the metadata that introduced them, and fields of their own.
"""

from dataclasses import dataclass

from packaging.metadata import InvalidMetadata, Metadata, parse_email
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from koschey.errors import Refused

NOT_JUDGED = frozenset({"license_files"})
"""Written for years, in forms of its own, before PEP 639 defined it."""
ACTED_ON = ("metadata_version", "name", "version", "requires_python", "requires_dist", "provides_extra")
"""Fields of which a second or an unreadable value would be silently lost."""


@dataclass(frozen=True, slots=True)
class CoreMetadata:
    """What is read from the metadata of a distribution."""

    project: NormalizedName
    version: Version
    requires_python: str | None
    """As it is written there: pages repeat it, and installers parse it."""


def parse_core_metadata(body: bytes, filename: str) -> CoreMetadata:
    """Read and validate core metadata. Raises `Refused`; `filename` names it in the message."""
    raw, unparsed = parse_email(body)
    for field in ACTED_ON:
        written = field.replace("_", "-")
        if written in unparsed:
            raise Refused(f"Invalid {filename}: {written.title()} is given twice, or is not readable.")
    metadata = Metadata.from_raw(raw, validate=False)
    try:
        for field in sorted({*raw, "metadata_version", "name", "version"} - NOT_JUDGED):
            getattr(metadata, field)
        project, version = canonicalize_name(metadata.name), metadata.version
    except InvalidMetadata as error:
        raise Refused(f"Invalid {filename}: {error}.") from None
    return CoreMetadata(project, version, (raw.get("requires_python") or "").strip() or None)
