"""Signatures of attestations (PEP 740), verified offline with the public index's own library and Sigstore's.

`Attestation.verify` of that library accepts only the public Sigstore's root of trust, so this module calls its two
halves one by one: `Verifier.verify_dsse` for certificate, transparency log and signature, `check_statement` for what
was signed.
Importing this module takes more than a second; `koschey.inspection.attestations.trust` imports it when the first object
is verified.
"""

from importlib.resources import as_file, files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from pydantic import TypeAdapter, ValidationError
from pypi_attestations import Attestation, AttestationType, ConversionError, Publisher
from sigstore._internal.tuf import DEFAULT_TUF_URL
from sigstore.errors import CertValidationError, VerificationError
from sigstore.models import TrustedRoot
from sigstore.verify import Verifier

from koschey.errors import Refused, StartError
from koschey.model import AttestationVerdict, Sha256
from koschey.standards.attestations import (
    Doubt,
    Judgement,
    ProvenanceObject,
    check_statement,
    clean_publishers,
    derive_publisher,
    parse_object,
    parse_uploaded,
    render_object,
)
from koschey.standards.upstream_page import clean_text

PUBLISHER: TypeAdapter[Any] = TypeAdapter(Publisher)
PREDICATES = frozenset(kind.value for kind in AttestationType)
MAX_ATTESTATIONS = 50
"""Maximum number of attestations in one object; each costs milliseconds of a thread."""
MAX_UPLOADED = 2
"""As on the public index: one of each kind."""


def load_verifier(path: Path | None) -> Verifier:
    """Return a verifier with a root of trust: a `trusted_root.json`, or the one that comes with the library.

    The library would copy its own into the user's cache and then trust the copy permanently, so this function reads it
    where it was installed. Raises `StartError`.
    """
    if path is None:
        with as_file(files("sigstore._store") / quote(DEFAULT_TUF_URL, safe="") / "trusted_root.json") as own:
            return Verifier(trusted_root=TrustedRoot.from_file(str(own)))
    try:
        root = TrustedRoot.from_file(str(path))
        return Verifier(trusted_root=root)
    except Exception as error:  # noqa: BLE001 - the library passes on whatever its parsers raise
        fault = f"{path} is not a trusted_root.json of Sigstore: {error}"
        raise StartError(f"KOSCHEY_SIGSTORE_TRUST_ROOT: {fault}") from None


def judge(verifier: Verifier, body: bytes, filename: str, sha256: Sha256) -> Judgement:
    """Judge a provenance object: every attestation against its publisher, the filename and the digest."""
    try:
        found = parse_object(body)
    except Doubt as doubt:
        return _judgement(doubt)
    count = sum(len(bundle.attestations) for bundle in found.attestation_bundles)
    publishers = clean_publishers(found)[:MAX_ATTESTATIONS]
    if not 0 < count <= MAX_ATTESTATIONS:
        return _judgement(Doubt(f"it contains {count} attestations; 1 to {MAX_ATTESTATIONS} are verified"), publishers)
    if doubts := _doubts(verifier, found, filename, sha256):
        worst = next((doubt for doubt in doubts if doubt.verdict is AttestationVerdict.REFUTED), doubts[0])
        return _judgement(worst, publishers)
    kinds = sorted({publisher.get("kind", "") for publisher in publishers})
    detail = f"{count} attestation{'s' if count > 1 else ''} verified, published from {', '.join(kinds)}"
    return Judgement(AttestationVerdict.VERIFIED, detail, publishers)


def judge_uploaded(verifier: Verifier, text: str, filename: str, sha256: Sha256) -> bytes:
    """Return the provenance object for attestations that came with an upload. Raises `Refused`."""
    try:
        return _judge_uploaded(verifier, text, filename, sha256)
    except Doubt as doubt:
        raise Refused(f"Invalid attestations supplied during upload: {clean_text(str(doubt))}") from None


def _judge_uploaded(verifier: Verifier, text: str, filename: str, sha256: Sha256) -> bytes:
    sent = parse_uploaded(text)
    if not 0 < len(sent) <= MAX_UPLOADED:
        raise Doubt(f"{len(sent)} attestations were sent; 1 to {MAX_UPLOADED} are accepted")
    predicates: set[str] = set()
    bundles: dict[bytes, tuple[dict[str, Any], list[msgspec.Raw]]] = {}
    for raw in sent:
        attestation = _parse_attestation(raw)
        publisher = derive_publisher(_claims(attestation))
        predicate = _verify(verifier, attestation, publisher, filename, sha256)
        if predicate in predicates:
            raise Doubt(f"there is more than one attestation of type {predicate}")
        predicates.add(predicate)
        # PEP 740: `claims` is an object. It is empty, because the certificate in the attestation has all claims.
        _, group = bundles.setdefault(msgspec.json.encode(publisher), ({**publisher, "claims": {}}, []))
        group.append(raw)
    return render_object(list(bundles.values()))


def _judgement(doubt: Doubt, publishers: list[dict[str, str]] | None = None) -> Judgement:
    return Judgement(doubt.verdict, clean_text(str(doubt)) or "unreadable", publishers or [])


def _doubts(verifier: Verifier, found: ProvenanceObject, filename: str, sha256: Sha256) -> list[Doubt]:
    doubts = []
    for bundle in found.attestation_bundles:
        for raw in bundle.attestations:
            try:
                _verify(verifier, _parse_attestation(raw), bundle.publisher, filename, sha256)
            except Doubt as doubt:
                doubts.append(doubt)
    return doubts


def _verify(
    verifier: Verifier, attestation: Attestation, publisher: dict[str, Any], filename: str, sha256: Sha256
) -> str:
    """Return the predicate type of an attestation that proves what it says. Raises `Doubt`."""
    try:
        policy = PUBLISHER.validate_python(publisher)._as_policy()  # noqa: SLF001 - there is no public function
    except ValidationError:
        raise Doubt(f"publishers of kind {publisher.get('kind')!r}, in this form, are not known here") from None
    try:
        _, payload = verifier.verify_dsse(attestation.to_bundle(), policy)
    except CertValidationError as error:
        raise Doubt(f"the certificate does not lead to a root of trust of this index: {error}") from None
    except VerificationError as error:
        raise Doubt(f"the signature does not prove the attestation: {error}", AttestationVerdict.REFUTED) from None
    except ConversionError as error:
        raise Doubt(f"an attestation cannot be read: {error}") from None
    except Exception as error:  # noqa: BLE001 - untrusted certificates make the parsers raise anything
        raise Doubt(f"an attestation cannot be read: {error!r}") from None
    predicate = check_statement(payload, filename, sha256)
    if predicate not in PREDICATES:
        raise Doubt(f"attestations of type {predicate} are not known here")
    return predicate


def _parse_attestation(raw: msgspec.Raw) -> Attestation:
    try:
        return Attestation.model_validate_json(bytes(raw))
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise Doubt(f"an attestation cannot be read: {where}: {problem['msg']}") from None


def _claims(attestation: Attestation) -> dict[str, str]:
    try:
        return attestation.certificate_claims
    except Exception as error:  # noqa: BLE001 - see `_verify`
        raise Doubt(f"the certificate cannot be read: {error!r}") from None
