"""The form of the legacy upload API, as twine, uv and their like send it.

The form is only a claim: it is compared with the bytes, the filename and the metadata in the archive.
Fields that are named neither here nor in `upload_claims` are ignored, and so is a signature.
"""

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from packaging.utils import InvalidWheelFilename, NormalizedName, parse_wheel_filename
from packaging.version import Version

from koschey.errors import Refused
from koschey.standards.names import is_safe_filename, parse_name
from koschey.standards.sdist_filename import OLD_SUFFIXES, split_sdist_filename
from koschey.standards.upload_claims import Claims, read_claims
from koschey.standards.versions import parse_version_or_none

DIGESTS = {"md5_digest": 32, "sha256_digest": 64, "blake2_256_digest": 64}
"""Fields for digests, and the number of hex digits of each."""
SINGLE = (":action", "protocol_version", "name", "version", "filetype", "pyversion", "attestations", *DIGESTS)
"""The fields about the upload itself. Each occurs once."""
ENDED = ("bdist_dmg", "bdist_dumb", "bdist_egg", "bdist_msi", "bdist_rpm", "bdist_wininst")
GONE = ("submit", "submit_pkg_info", "doc_upload")
HEX = re.compile(r"[0-9a-f]+")
SHOWN = 100


class Filetype(StrEnum):
    """The two kinds of file that can be uploaded; PEP 527 and 715 ended eggs and installers."""

    SDIST = "sdist"
    WHEEL = "bdist_wheel"

    @property
    def metadata(self) -> str:
        """The name of the file in the archive that holds the core metadata."""
        return "METADATA" if self is Filetype.WHEEL else "PKG-INFO"


@dataclass(frozen=True, slots=True)
class UploadForm:
    """What the client claims to upload."""

    project: NormalizedName
    version: Version
    """The version in the filename, which equals that of the form (PEP 440)."""
    filetype: Filetype
    filename: str
    digests: Mapping[str, str]
    """Lowercase hex digits by the name of the field; at least one entry."""
    claims: Claims
    """What the form says about the metadata in the file."""
    attestations: str | None
    """PEP 740: a JSON array of attestation objects, not yet parsed."""

    def check_digests(self, found: Mapping[str, str]) -> None:
        """Raise `Refused` unless every digest in the form is that of the bytes."""
        for field, claimed in self.digests.items():
            if not hmac.compare_digest(claimed, found[field]):
                raise Refused(
                    f"The digest supplied does not match a digest calculated from the uploaded file: {field} says "
                    f"{claimed}, the bytes have {found[field]}."
                )


def parse_upload_form(
    fields: Sequence[tuple[str, str]], filename: str | None, content_type: str | None = None
) -> UploadForm:
    """Read the form; `content_type` is that of the part with the file.

    Raises `Refused`, or `UsageError` for an invalid name; the message is for the uploader.
    """
    values = _single(fields)
    _check_action(values)
    name, stated = _required(values, "name"), _required(values, "version")
    if filename is None:
        raise Refused("Upload payload does not have a file: the form has no part 'content'.")
    _check_content_type(content_type)
    filetype = _filetype(values)
    project, version = parse_name(name), _version(stated)
    named, of_file = parse_distribution(filename, filetype, project)
    if named != project:
        raise Refused(f"The filename {filename!r} is of the project {named}, but the form says {name!r}.")
    if of_file != version:
        raise Refused(f"The filename {filename!r} is of version {of_file}, but the form says {stated!r}.")
    _check_python(values.get("pyversion"), filetype)
    return UploadForm(
        project, of_file, filetype, filename, _digests(values), read_claims(fields), values.get("attestations")
    )


def parse_distribution(filename: str, filetype: Filetype, project: NormalizedName) -> tuple[NormalizedName, Version]:
    """Return the project and the version that a filename names. `project` is the expected project.

    Raises `Refused` if it is not a filename of this type.
    """
    if not is_safe_filename(filename):
        raise Refused(
            f"Invalid filename: {_shown(filename)} has characters that a filename of a distribution cannot have."
        )
    if filetype is Filetype.SDIST:
        found = split_sdist_filename(filename, project)
        if found is None:
            raise Refused(
                f"Invalid filename: {filename!r}; an sdist has the filename name-version.tar.gz (PEP 625). An index "
                f"that accepts old formats also accepts {', '.join(OLD_SUFFIXES)}."
            )
        return found
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise Refused(f"Invalid filename: {error}") from None
    return name, version


def _single(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the known fields. Empty ones, and "UNKNOWN" from old build tools, are absent."""
    values: dict[str, str] = {}
    for name, text in fields:
        value = text.strip()
        if name not in SINGLE or value in ("", "UNKNOWN"):
            continue
        if values.setdefault(name, value) != value:
            raise Refused(f"The form gives {name!r} twice, with different values.")
    return values


def _check_action(values: Mapping[str, str]) -> None:
    action = values.get(":action")
    if action in GONE:
        raise Refused(f"The action {action!r} is no longer part of the upload API; upload files.", status=410)
    if action != "file_upload":
        raise Refused("The form needs ':action' with the value 'file_upload'.")
    if values.get("protocol_version", "1") != "1":
        raise Refused(f"Unknown protocol version {_shown(values['protocol_version'])}; use 1.")


def _required(values: Mapping[str, str], name: str) -> str:
    if name not in values:
        raise Refused(f"The form lacks {name!r}.")
    return values[name]


def _filetype(values: Mapping[str, str]) -> Filetype:
    filetype = _required(values, "filetype")
    if filetype in ENDED:
        raise Refused(
            f"The filetype {filetype!r} was withdrawn, and no current installer accepts it (PEP 527, PEP 715). Make a "
            "wheel from the file: pip install wheel, then wheel convert FILE; and upload that."
        )
    if filetype not in Filetype:
        raise Refused(f"Unknown filetype {_shown(filetype)}; use 'sdist' or 'bdist_wheel'.")
    return Filetype(filetype)


def _check_python(python: str | None, filetype: Filetype) -> None:
    """Check `pyversion`. For a wheel any value is accepted, because its filename has the tags, but it must be given."""
    if filetype is Filetype.SDIST and python not in (None, "source"):
        raise Refused(f"The pyversion of an sdist is 'source', not {_shown(str(python))}.")
    if filetype is Filetype.WHEEL and python is None:
        raise Refused("The form of a wheel needs 'pyversion', such as 'py3'.")


def _check_content_type(content_type: str | None) -> None:
    """Refuse an invalid type or an image. A part without a type is text (RFC 7578, section 4.4); flit sends it so."""
    kind = "text/plain" if content_type is None else content_type.partition(";")[0].strip().lower()
    if "/" not in kind or kind.startswith("image/"):
        raise Refused(f"Invalid distribution file. The part 'content' has the type {_shown(kind)}.")


def _version(text: str) -> Version:
    version = parse_version_or_none(text)
    if version is None:
        raise Refused(f"{_shown(text)} is not a version (PEP 440).")
    return version


def _digests(values: Mapping[str, str]) -> dict[str, str]:
    given = {field: values[field].lower() for field in DIGESTS if field in values}
    if not given:
        raise Refused(f"Include at least one digest: {', '.join(DIGESTS)}.")
    for field, digest in given.items():
        if len(digest) != DIGESTS[field] or not HEX.fullmatch(digest):
            raise Refused(f"{field} must be {DIGESTS[field]} hex digits, not {_shown(digest)}.")
    return given


def _shown(text: str) -> str:
    return ascii(text if len(text) <= SHOWN else text[:SHOWN] + "...")
