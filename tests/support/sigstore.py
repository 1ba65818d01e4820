"""A Sigstore of our own: a certificate authority, two logs, and the attestations (PEP 740) that they certify.

    sigstore = Sigstore()
    sigstore.provenance("six-1.0-py3-none-any.whl", sha256)   # an object whose every signature holds
    path.write_text(sigstore.trusted_root)                    # the root of trust under which it does

Every part is real: X.509 with an embedded SCT (RFC 6962), a Merkle tree of one leaf with its signed checkpoint, an
inclusion promise, and a DSSE envelope. Only the services behind them do not exist.
"""

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pypi_attestations import AttestationType

PUBLISH = AttestationType.PYPI_PUBLISH_V1.value
SLSA = AttestationType.SLSA_PROVENANCE_V1.value
SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
CLAIM = "1.3.6.1.4.1.57264.1."
ORIGIN = "log.example.org"
GITHUB = {"kind": "GitHub", "repository": "spam/spam", "workflow": "release.yml"}
GITLAB = {"kind": "GitLab", "repository": "eggs/group/eggs", "workflow_filepath": ".gitlab-ci.yml"}


def github_claims(repository: str = "spam/spam", workflow: str = "release.yml") -> dict[int, str]:
    """The claims in the certificate of a GitHub workflow."""
    url = f"https://github.com/{repository}"
    return {
        8: "https://token.actions.githubusercontent.com",
        12: url,
        13: "0f" * 20,
        14: "refs/heads/main",
        18: f"{url}/.github/workflows/{workflow}@refs/heads/main",
    }


def gitlab_claims(repository: str = "eggs/group/eggs", workflow: str = ".gitlab-ci.yml") -> dict[int, str]:
    """The claims in the certificate of a GitLab pipeline."""
    url = f"https://gitlab.com/{repository}"
    return {
        8: "https://gitlab.com",
        12: url,
        13: "0f" * 20,
        14: "refs/heads/main",
        18: f"{url}//{workflow}@refs/heads/main",
    }


def statement(filename: str, sha256: str, predicate_type: str = PUBLISH, **changes: Any) -> bytes:
    """An in-toto statement about one file."""
    said = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": filename, "digest": {"sha256": sha256}}],
        "predicateType": predicate_type,
        "predicate": None,
    }
    return json.dumps(said | changes).encode()


def provenance_object(*attestations: dict[str, Any], publisher: dict[str, Any] | None = None) -> bytes:
    """A provenance object of one bundle, in the form that the public index serves."""
    bundle = {"publisher": {"claims": None, **(publisher or GITHUB)}, "attestations": list(attestations)}
    return json.dumps({"version": 1, "attestation_bundles": [bundle]}).encode()


@dataclass(frozen=True)
class Log:
    """A log, identified by its key."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def id(self) -> bytes:
        """RFC 6962: the digest of the public key."""
        return hashlib.sha256(_public(self.key)).digest()

    def sign(self, data: bytes) -> bytes:
        """Return the log's signature of these bytes."""
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))

    @property
    def trusted(self) -> dict[str, Any]:
        """The log as a root of trust lists it."""
        return {
            "baseUrl": f"https://{ORIGIN}",
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": _b64(_public(self.key)),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": {"start": "2020-01-01T00:00:00Z"},
            },
            "logId": {"keyId": _b64(self.id)},
        }


@dataclass(frozen=True)
class Sigstore:
    """One instance. Its attestations are valid under its own root of trust, and under no other."""

    ca_key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    certificates: Log = field(default_factory=Log)
    transparency: Log = field(default_factory=Log)
    signed_at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def provenance(self, filename: str, sha256: str, *, publisher: dict[str, Any] | None = None) -> bytes:
        """A provenance object that proves where a file came from."""
        return provenance_object(self.attest(filename, sha256), publisher=publisher)

    def attest(
        self, filename: str, sha256: str, predicate_type: str = PUBLISH, *, claims: dict[int, str] | None = None
    ) -> dict[str, Any]:
        """An attestation that a file was published by the workflow that the claims name."""
        return self.sign(statement(filename, sha256, predicate_type), claims=claims)

    def sign(self, payload: bytes, *, claims: dict[int, str] | None = None) -> dict[str, Any]:
        """An attestation of any statement."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certify(key, github_claims() if claims is None else claims)
        kind = "application/vnd.in-toto+json"
        pae = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
        signature = key.sign(pae, ec.ECDSA(hashes.SHA256()))
        return {
            "version": 1,
            "verification_material": {
                "certificate": _b64(certificate.public_bytes(serialization.Encoding.DER)),
                "transparency_entries": [self._log(payload, signature, certificate)],
            },
            "envelope": {"statement": _b64(payload), "signature": _b64(signature)},
        }

    def without_ct(self) -> "Sigstore":
        """The same authority, but with an untrusted certificate log."""
        return replace(self, certificates=Log())

    def without_log(self) -> "Sigstore":
        """The same authority, but with an untrusted transparency log."""
        return replace(self, transparency=Log())

    @property
    def trusted_root(self) -> str:
        """The content of the file that `KOSCHEY_SIGSTORE_TRUST_ROOT` names."""
        authority = {
            "subject": {"organization": "example.org", "commonName": "tests"},
            "uri": "https://ca.example.org",
            "certChain": {"certificates": [{"rawBytes": _b64(self._authority().public_bytes(DER))}]},
            "validFor": {"start": "2020-01-01T00:00:00Z"},
        }
        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [self.transparency.trusted],
                "certificateAuthorities": [authority],
                "ctlogs": [self.certificates.trusted],
            }
        )

    def _authority(self) -> x509.Certificate:
        usage = _key_usage(digital_signature=False, key_cert_sign=True)
        return (
            self._builder(AUTHORITY, self.ca_key, timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self.ca_key, hashes.SHA256())
        )

    def _certify(self, key: ec.EllipticCurvePrivateKey, claims: dict[int, str]) -> x509.Certificate:
        """A certificate for ten minutes that contains the promise of the certificate log."""
        builder = (
            self._builder(x509.Name([]), key, timedelta(minutes=10))
            .add_extension(_key_usage(digital_signature=True, key_cert_sign=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.ca_key.public_key()), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier("https://ci.example.org/job")]),
                critical=True,
            )
        )
        for number, value in claims.items():
            oid = x509.ObjectIdentifier(f"{CLAIM}{number}")
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, _der(0x0C, value.encode())), critical=False)
        body = builder.sign(self.ca_key, hashes.SHA256()).tbs_certificate_bytes
        promise = x509.UnrecognizedExtension(SCT_LIST, _der(0x04, self._promise(body)))
        return builder.add_extension(promise, critical=False).sign(self.ca_key, hashes.SHA256())

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, span: timedelta) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder(serial_number=int.from_bytes(hashlib.sha256(_public(key)).digest()[:16]))
            .subject_name(subject)
            .issuer_name(AUTHORITY)
            .public_key(key.public_key())
            .not_valid_before(self.signed_at - timedelta(minutes=5))
            .not_valid_after(self.signed_at + span)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )

    def _promise(self, body: bytes) -> bytes:
        """RFC 6962, 3.2 and 3.3: the list with the one signed certificate timestamp."""
        timestamp = int(self.signed_at.timestamp() * 1000)
        issuer = hashlib.sha256(_public(self.ca_key)).digest()
        entry = issuer + len(body).to_bytes(3) + body
        signature = self.certificates.sign(struct.pack("!BBQH", 0, 0, timestamp, 1) + entry + b"\0\0")
        sct = struct.pack("!B32sQH", 0, self.certificates.id, timestamp, 0)
        sct += struct.pack("!BBH", 4, 3, len(signature)) + signature  # SHA-256 with ECDSA
        return struct.pack("!HH", len(sct) + 2, len(sct)) + sct

    def _log(self, payload: bytes, signature: bytes, certificate: x509.Certificate) -> dict[str, Any]:
        """The entry of the transparency log: the only leaf of its tree."""
        body = _entry_body(payload, signature, certificate)
        root = hashlib.sha256(b"\0" + body).digest()
        integrated = int(self.signed_at.timestamp())
        promised = {
            "body": _b64(body),
            "integratedTime": integrated,
            "logID": self.transparency.id.hex(),
            "logIndex": 0,
        }
        canonical = json.dumps(promised, sort_keys=True, separators=(",", ":")).encode()
        note = f"{ORIGIN}\n1\n{_b64(root)}\n"
        mark = _b64(self.transparency.id[:4] + self.transparency.sign(note.encode()))
        return {
            "logIndex": "0",
            "logId": {"keyId": _b64(self.transparency.id)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(integrated),
            "inclusionPromise": {"signedEntryTimestamp": _b64(self.transparency.sign(canonical))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": _b64(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\N{EM DASH} {ORIGIN} {mark}\n"},
            },
            "canonicalizedBody": _b64(body),
        }


AUTHORITY = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
DER = serialization.Encoding.DER


def _entry_body(payload: bytes, signature: bytes, certificate: x509.Certificate) -> bytes:
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    digest = {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}
    spec = {
        "envelopeHash": digest,
        "payloadHash": digest,
        "signatures": [{"signature": _b64(signature), "verifier": _b64(pem)}],
    }
    return json.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}).encode()


def _key_usage(*, digital_signature: bool, key_cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _public(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _der(tag: int, value: bytes) -> bytes:
    size = len(value)
    length = bytes([size]) if size < 128 else bytes([0x82]) + size.to_bytes(2) if size > 255 else bytes([0x81, size])
    return bytes([tag]) + length + value


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode()
