"""PEP 740: parses provenance objects, and checks that a signed statement is about a file. No cryptography."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from packaging.utils import parse_sdist_filename, parse_wheel_filename

from koschey.model import AttestationVerdict, Sha256
from koschey.standards.upstream_page import clean_text

STATEMENT = "https://in-toto.io/Statement/v1"
ISSUER, BUILD_CONFIG = "1.3.6.1.4.1.57264.1.8", "1.3.6.1.4.1.57264.1.18"
"""Claims in a Sigstore certificate: the issuer that vouches for the identity, and the workflow of a repository."""
KNOWN_ISSUERS = {
    "https://token.actions.githubusercontent.com": (
        "GitHub",
        re.compile(r"https://github\.com/(?P<repository>[^/@]+/[^/@]+)/\.github/workflows/(?P<workflow>[^/@]+)@.+"),
    ),
    "https://gitlab.com": (
        "GitLab",
        re.compile(r"https://gitlab\.com/(?P<repository>[^@]+?)//(?P<workflow_filepath>[^@]+)@.+"),
    ),
}
READ_ERRORS = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What msgspec raises for text that is not JSON, or for JSON of another shape."""


class Doubt(ValueError):
    """The reason why something is not proven. The verification turns it into a judgement or a refusal."""

    def __init__(self, message: str, verdict: AttestationVerdict = AttestationVerdict.UNVERIFIABLE) -> None:
        super().__init__(message)
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class Judgement:
    """The result of verifying a provenance object."""

    verdict: AttestationVerdict
    detail: str
    """One line for a person."""
    publishers: Sequence[Mapping[str, str]] = ()
    """The publishers that the object names; to be believed only if it is verified."""


class Bundle(msgspec.Struct):
    """PEP 740: "one or more attestations" that share a publisher."""

    publisher: dict[str, Any]
    attestations: list[msgspec.Raw]


class ProvenanceObject(msgspec.Struct):
    """PEP 740: the provenance object. Koschey stores its bytes, so fields that are not listed here are kept."""

    version: int
    attestation_bundles: list[Bundle]


class _Subject(msgspec.Struct):
    digest: dict[str, str]
    name: str = ""


class _Statement(msgspec.Struct, rename={"kind": "_type", "predicate_type": "predicateType"}):
    kind: str
    subject: list[_Subject]
    predicate_type: str


def parse_object(body: bytes) -> ProvenanceObject:
    """Parse a provenance object. Raises `Doubt` if it is not one, or if its version is unknown."""
    try:
        found = msgspec.json.decode(body, type=ProvenanceObject)
    except READ_ERRORS as error:
        raise Doubt(f"it is not a provenance object of PEP 740: {error}") from None
    if found.version != 1:
        raise Doubt(f"it is a provenance object of version {found.version}; this index supports version 1")
    return found


def parse_uploaded(text: str) -> list[msgspec.Raw]:
    """Parse the form field `attestations`: a JSON array. Raises `Doubt`."""
    try:
        return msgspec.json.decode(text, type=list[msgspec.Raw])
    except READ_ERRORS as error:
        raise Doubt(f"they are not a JSON array: {error}") from None


def render_object(bundles: Sequence[tuple[dict[str, Any], Sequence[msgspec.Raw]]]) -> bytes:
    """Return a provenance object that contains each attestation as it was sent."""
    rendered = [{"publisher": publisher, "attestations": attestations} for publisher, attestations in bundles]
    return msgspec.json.encode({"version": 1, "attestation_bundles": rendered})


def clean_publishers(found: ProvenanceObject) -> list[dict[str, str]]:
    """Return the publishers that an object names, without what cannot be shown or stored."""
    return [_clean(bundle.publisher) for bundle in found.attestation_bundles]


def _clean(publisher: Mapping[str, Any]) -> dict[str, str]:
    texts = ((clean_text(name), clean_text(value)) for name, value in publisher.items())
    return {name: value for name, value in texts if name and value}


def derive_publisher(claims: Mapping[str, str]) -> dict[str, str]:
    """Return the publisher that the claims of a certificate name, in the form of PEP 740. Raises `Doubt`."""
    issuer = claims.get(ISSUER, "")
    if issuer not in KNOWN_ISSUERS:
        raise Doubt(f"the certificate's issuer {issuer!r} is not supported; GitHub Actions and GitLab CI are")
    kind, form = KNOWN_ISSUERS[issuer]
    named = form.fullmatch(claims.get(BUILD_CONFIG, ""))
    if named is None:
        raise Doubt(f"the certificate of {kind} names no workflow of a repository")
    return {"kind": kind, **named.groupdict()}


def check_statement(payload: bytes, filename: str, sha256: Sha256) -> str:
    """Return the predicate type of a signed statement about exactly this file. Raises `Doubt` for any other.

    PEP 740: the statement "MUST" have exactly one subject, whose name is compared as a parsed filename.
    """
    try:
        statement = msgspec.json.decode(payload, type=_Statement)
    except READ_ERRORS as error:
        raise Doubt(f"the signed content is not an in-toto statement: {error}", AttestationVerdict.REFUTED) from None
    if statement.kind != STATEMENT or len(statement.subject) != 1:
        raise Doubt("the signed content is not an in-toto v1 statement on one subject", AttestationVerdict.REFUTED)
    [subject] = statement.subject
    if _parse_filename(subject.name, AttestationVerdict.REFUTED) != _parse_filename(filename):
        raise Doubt(f"the statement is about {subject.name}, not {filename}", AttestationVerdict.REFUTED)
    if subject.digest.get("sha256") != sha256:
        raise Doubt(f"the statement is about other bytes than those of {filename}", AttestationVerdict.REFUTED)
    return statement.predicate_type


def _parse_filename(filename: str, verdict: AttestationVerdict = AttestationVerdict.UNVERIFIABLE) -> tuple[object, ...]:
    try:
        return parse_wheel_filename(filename) if filename.endswith(".whl") else parse_sdist_filename(filename)
    except ValueError:
        raise Doubt(f"{filename!r} is not the filename of a wheel or an sdist", verdict) from None
