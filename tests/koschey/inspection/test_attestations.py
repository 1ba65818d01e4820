"""What provenance objects (PEP 740) prove, and which attestations an upload may bring."""

import base64
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypi_attestations import Attestation, Distribution, GitHubPublisher
from sigstore.models import TrustedRoot
from sigstore.verify import Verifier

from koschey.errors import Refused, StartError
from koschey.hosting.attested_uploads import check_uploaded
from koschey.inspection.attestations.trust import Trust
from koschey.model import AttestationVerdict, Sha256
from tests.support.sigstore import (
    GITHUB,
    GITLAB,
    PUBLISH,
    SLSA,
    Sigstore,
    github_claims,
    gitlab_claims,
    provenance_object,
    statement,
)

WHEEL, SDIST = "spam-1.0-py3-none-any.whl", "spam-1.0.tar.gz"
DIGEST, OTHER = Sha256("0f" * 32), Sha256("1e" * 32)
OURS = Sigstore()


@pytest.fixture(scope="module")
def trust_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of trust of the Sigstore of these tests."""
    path = tmp_path_factory.mktemp("trust") / "trusted_root.json"
    path.write_text(OURS.trusted_root)
    return path


@pytest.fixture(scope="module")
def trust(trust_root: Path) -> Trust:
    """Verifies under it."""
    return Trust(trust_root)


def changed(body: bytes, path: str, value: object) -> bytes:
    """A provenance object with one value replaced; `path` has dots between keys and numbers."""
    whole = json.loads(body)
    *way, last = (int(step) if step.isdigit() else step for step in path.split("."))
    place = whole
    for step in way:
        place = place[step]
    place[last] = value
    return json.dumps(whole).encode()


@pytest.mark.parametrize("filename", [WHEEL, SDIST, "spam-1.0.zip", "Spam-1.0.0-py3-none-any.whl"])
@pytest.mark.parametrize("predicate", [PUBLISH, SLSA])
def test_what_holds_is_verified(trust: Trust, filename: str, predicate: str) -> None:
    """An object whose every signature holds is verified, and its publishers are known."""
    judgement = trust.judge(provenance_object(OURS.attest(filename, DIGEST, predicate)), filename, DIGEST)
    assert judgement.verdict is AttestationVerdict.VERIFIED
    assert judgement.detail == "1 attestation verified, published from GitHub"
    assert judgement.publishers == [GITHUB]


def test_filenames_are_compared_as_parsed(trust: Trust) -> None:
    """PEP 740: another spelling of the same name, version and tags is the same file."""
    body = OURS.provenance("Spam-1.0.0-py3-none-any.whl", DIGEST)
    assert trust.judge(body, WHEEL, DIGEST).verdict is AttestationVerdict.VERIFIED


def test_every_bundle_has_its_publisher(trust: Trust) -> None:
    """Several bundles are each verified against their own publisher."""
    both = json.loads(OURS.provenance(WHEEL, DIGEST))
    lab = json.loads(provenance_object(OURS.attest(WHEEL, DIGEST, SLSA, claims=gitlab_claims()), publisher=GITLAB))
    both["attestation_bundles"] += lab["attestation_bundles"]
    judgement = trust.judge(json.dumps(both).encode(), WHEEL, DIGEST)
    assert judgement.verdict is AttestationVerdict.VERIFIED
    assert judgement.publishers == [GITHUB, GITLAB]
    both["attestation_bundles"][1]["publisher"]["repository"] = "eggs/other"
    assert trust.judge(json.dumps(both).encode(), WHEEL, DIGEST).verdict is AttestationVerdict.REFUTED


ATTESTED = OURS.provenance(WHEEL, DIGEST)
MATERIAL = "attestation_bundles.0.attestations.0.verification_material"
ENTRY = f"{MATERIAL}.transparency_entries.0"
ENVELOPE = "attestation_bundles.0.attestations.0.envelope"
TOMORROW = str(int((datetime.now(UTC) + timedelta(days=1)).timestamp()))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            changed(ATTESTED, "attestation_bundles.0.publisher.repository", "evil/spam"),
            "does not prove the attestation",
        ),
        (changed(ATTESTED, "attestation_bundles.0.publisher.workflow", "other.yml"), "does not prove the attestation"),
        (
            changed(ATTESTED, f"{ENVELOPE}.statement", base64.b64encode(statement(WHEEL, OTHER)).decode()),
            "invalid signature",
        ),
        (changed(ATTESTED, f"{ENVELOPE}.signature", base64.b64encode(b"0" * 70).decode()), "invalid signature"),
        (changed(ATTESTED, f"{ENTRY}.canonicalizedBody", base64.b64encode(b"{}").decode()), "invalid log entry"),
        (changed(ATTESTED, f"{ENTRY}.inclusionProof.rootHash", base64.b64encode(b"0" * 32).decode()), "root hash"),
        (provenance_object(OURS.without_ct().attest(WHEEL, DIGEST)), "SCT"),
        (provenance_object(OURS.without_log().attest(WHEEL, DIGEST)), "invalid log entry"),
        (OURS.provenance("eggs-1.0-py3-none-any.whl", DIGEST), "is about eggs-1.0"),
        (OURS.provenance("spam-1.1-py3-none-any.whl", DIGEST), "is about spam-1.1"),
        (OURS.provenance("spam-1.0-py3-none-win32.whl", DIGEST), "is about spam-1.0-py3-none-win32"),
        (OURS.provenance("nonsense", DIGEST), "is not the filename"),
        (OURS.provenance(WHEEL, OTHER), "other bytes"),
        (provenance_object(OURS.sign(statement(WHEEL, DIGEST, subject=[]))), "one subject"),
        (provenance_object(OURS.sign(statement(WHEEL, DIGEST, _type="https://example.org/"))), "one subject"),
        (provenance_object(OURS.sign(b"not JSON")), "not an in-toto statement"),
        (provenance_object(OURS.attest(WHEEL, DIGEST, claims={})), "does not prove the attestation"),
        (
            provenance_object(OURS.attest(WHEEL, DIGEST, claims=github_claims() | {8: "https://evil.example.org"})),
            "does not prove the attestation",
        ),
    ],
)
def test_what_proves_something_else_is_refuted(trust: Trust, body: bytes, words: str) -> None:
    """An object about another file, by another publisher, or with a broken signature is refuted, with the cause."""
    judgement = trust.judge(body, WHEEL, DIGEST)
    assert judgement.verdict is AttestationVerdict.REFUTED
    assert words in judgement.detail


def test_two_subjects_are_refuted(trust: Trust) -> None:
    """A statement about several files proves nothing of one of them."""
    subjects = [{"name": name, "digest": {"sha256": DIGEST}} for name in (WHEEL, SDIST)]
    body = provenance_object(OURS.sign(statement(WHEEL, DIGEST, subject=subjects)))
    assert trust.judge(body, WHEEL, DIGEST).verdict is AttestationVerdict.REFUTED


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not a provenance object"),
        (b"<html>please log in</html>", "not a provenance object"),
        (b"\xff\xfe", "not a provenance object"),
        (b"[" * 100_000, "not a provenance object"),
        (b"{}", "not a provenance object"),
        (b"null", "not a provenance object"),
        (changed(ATTESTED, "version", 2), "version 2"),
        (changed(ATTESTED, "attestation_bundles", []), "0 attestations"),
        (changed(ATTESTED, "attestation_bundles.0.attestations", []), "0 attestations"),
        (changed(ATTESTED, "attestation_bundles.0.attestations", [{}] * 51), "51 attestations"),
        (changed(ATTESTED, "attestation_bundles.0.attestations", [{}]), "cannot be read"),
        (changed(ATTESTED, "attestation_bundles.0.publisher", {"kind": "Forge"}), "'Forge'"),
        (changed(ATTESTED, "attestation_bundles.0.publisher", {}), "None"),
        (changed(ATTESTED, "attestation_bundles.0.publisher", {"kind": "GitHub"}), "'GitHub'"),
        (changed(ATTESTED, f"{MATERIAL}.certificate", base64.b64encode(b"x").decode()), "cannot be read"),
        (changed(ATTESTED, f"{MATERIAL}.transparency_entries", [{}]), "cannot be read"),
        (changed(ATTESTED, f"{MATERIAL}.transparency_entries", []), "cannot be read"),
        (changed(ATTESTED, f"{ENTRY}.integratedTime", TOMORROW), "root of trust"),
        (Sigstore().provenance(WHEEL, DIGEST), "root of trust"),
        (provenance_object(OURS.attest(WHEEL, DIGEST, "https://example.org/review/v1")), "not known here"),
        (
            provenance_object(
                OURS.attest(WHEEL, DIGEST, claims={k: v for k, v in gitlab_claims().items() if k != 13}),
                publisher=GITLAB,
            ),
            "cannot be read",
        ),
    ],
)
def test_what_cannot_be_judged_is_unverifiable(trust: Trust, body: bytes, words: str) -> None:
    """What is no object of the standard, or is of a kind or a root of trust unknown here, is unverifiable."""
    judgement = trust.judge(body, WHEEL, DIGEST)
    assert (judgement.verdict, words in judgement.detail) == (AttestationVerdict.UNVERIFIABLE, True), judgement


def test_files_that_cannot_be_attested_are_unverifiable(trust: Trust) -> None:
    """A form of distribution that PEP 740 does not know is no fault of the object."""
    judgement = trust.judge(OURS.provenance(WHEEL, DIGEST), "spam-1.0-py3.12.egg", DIGEST)
    assert judgement.verdict is AttestationVerdict.UNVERIFIABLE


def test_refuted_weighs_more_than_unverifiable(trust: Trust) -> None:
    """One attestation that proves something else decides over others that cannot be judged."""
    body = provenance_object(
        Sigstore().attest(WHEEL, DIGEST), OURS.attest(WHEEL, OTHER), OURS.attest(WHEEL, DIGEST, SLSA)
    )
    assert trust.judge(body, WHEEL, DIGEST).verdict is AttestationVerdict.REFUTED


def test_publishers_can_be_stored_and_shown(trust: Trust) -> None:
    """What is kept of a publisher is text that PostgreSQL takes and that fits a page."""
    said = {**GITHUB, "environment": "a\u0000b\n\u202e", "claims": {"deep": 1}, "n": 7, "long": "x" * 10_000}
    judgement = trust.judge(changed(ATTESTED, "attestation_bundles.0.publisher", said), WHEEL, DIGEST)
    publisher = dict(judgement.publishers[0])
    assert publisher.pop("long") == "x" * 2000
    assert publisher == {**GITHUB, "environment": "ab"}


def test_the_public_roots_do_not_believe_us() -> None:
    """Without a setting the root of trust is the public Sigstore's, read offline and without a home folder."""
    judgement = Trust(None).judge(OURS.provenance(WHEEL, DIGEST), WHEEL, DIGEST)
    assert judgement.verdict is AttestationVerdict.UNVERIFIABLE
    assert "root of trust" in judgement.detail


@pytest.mark.parametrize("content", [None, "", "{}", '{"mediaType": "x"}', "\0"])
def test_broken_root_of_trust_is_an_error_at_the_start(tmp_path: Path, content: str | None) -> None:
    """A file that is no root of trust is named before anything is verified with it."""
    path = tmp_path / "root.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(StartError, match=r"KOSCHEY_SIGSTORE_TRUST_ROOT: .*root\.json is not a trusted_root\.json"):
        Trust(path)


CASES: list[tuple[dict[str, Any], str, Sha256]] = [
    (OURS.attest(WHEEL, DIGEST), WHEEL, DIGEST),
    (OURS.attest(WHEEL, DIGEST), WHEEL, OTHER),
    (OURS.attest(WHEEL, DIGEST), SDIST, DIGEST),
    (OURS.attest(WHEEL, DIGEST, "https://example.org/"), WHEEL, DIGEST),
    (OURS.attest(WHEEL, DIGEST, claims=github_claims("evil/spam")), WHEEL, DIGEST),
    (OURS.sign(statement(WHEEL, DIGEST, subject=[])), WHEEL, DIGEST),
    (OURS.without_log().attest(WHEEL, DIGEST), WHEEL, DIGEST),
    (Sigstore().attest(WHEEL, DIGEST), WHEEL, DIGEST),
]


@pytest.mark.parametrize(("attestation", "filename", "digest"), CASES)
def test_verdict_is_the_librarys_own(
    trust: Trust,
    trust_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    attestation: dict[str, Any],
    filename: str,
    digest: Sha256,
) -> None:
    """`Attestation.verify` of the public index's library comes to the same answer under the same root of trust."""
    root = TrustedRoot.from_file(str(trust_root))
    monkeypatch.setattr(Verifier, "production", lambda **_: Verifier(trusted_root=root))
    ours = trust.judge(provenance_object(attestation), filename, digest).verdict is AttestationVerdict.VERIFIED
    theirs = True
    try:
        Attestation.model_validate(attestation).verify(
            GitHubPublisher(repository="spam/spam", workflow="release.yml"),
            Distribution(name=filename, digest=digest),
            offline=True,
        )
    except ValueError:
        theirs = False
    assert ours is theirs


async def uploaded(trust: Trust, sent: object, *, filename: str = WHEEL) -> Any:
    """What is kept of attestations that come with an upload."""
    text = sent if isinstance(sent, str) else json.dumps(sent)
    return json.loads(await check_uploaded(text, filename, DIGEST, trust=trust))


async def test_uploaded_attestations_become_an_object(trust: Trust) -> None:
    """What was sent is kept as it was, below the publisher that the certificate names, and holds as an object."""
    sent = [OURS.attest(WHEEL, DIGEST), OURS.attest(WHEEL, DIGEST, SLSA)]
    kept = await uploaded(trust, sent)
    assert kept == {
        "version": 1,
        "attestation_bundles": [{"publisher": {**GITHUB, "claims": {}}, "attestations": sent}],
    }
    body = await check_uploaded(json.dumps(sent), WHEEL, DIGEST, trust=trust)
    assert trust.judge(body, WHEEL, DIGEST).verdict is AttestationVerdict.VERIFIED


async def test_uploads_from_two_publishers_make_two_bundles(trust: Trust) -> None:
    """Attestations of GitHub and GitLab stand in bundles of their own."""
    kept = await uploaded(trust, [OURS.attest(WHEEL, DIGEST), OURS.attest(WHEEL, DIGEST, SLSA, claims=gitlab_claims())])
    publishers = [bundle["publisher"] for bundle in kept["attestation_bundles"]]
    assert publishers == [{**GITHUB, "claims": {}}, {**GITLAB, "claims": {}}]


GOOD = OURS.attest(WHEEL, DIGEST)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ("", "not a JSON array"),
        ("{}", "not a JSON array"),
        ("[" * 100_000, "not a JSON array"),
        ("[\ud800]", "not a JSON array"),
        ("[]", "0 attestations"),
        ([GOOD, GOOD], "more than one attestation of type"),
        ([GOOD, GOOD, GOOD], "3 attestations"),
        ([1], "cannot be read"),
        ([{**GOOD, "version": 2}], "cannot be read"),
        ([{**GOOD, "verification_material": {"certificate": "eA==", "transparency_entries": [{}]}}], "cannot be read"),
        ([OURS.attest(WHEEL, OTHER)], "other bytes"),
        ([OURS.attest(SDIST, DIGEST)], "is about spam-1.0.tar.gz"),
        ([OURS.attest(WHEEL, DIGEST, "https://example.org/")], "not known here"),
        ([OURS.attest(WHEEL, DIGEST, claims={})], "issuer '' is not supported"),
        ([OURS.attest(WHEEL, DIGEST, claims={8: "https://example.org"})], "issuer 'https://example.org'"),
        ([OURS.attest(WHEEL, DIGEST, claims=github_claims() | {18: "x"})], "names no workflow"),
        (
            [OURS.attest(WHEEL, DIGEST, claims=github_claims() | {12: "https://github.com/a/b"})],
            "does not prove the attestation",
        ),
        ([Sigstore().attest(WHEEL, DIGEST)], "root of trust"),
    ],
)
async def test_invalid_attestations_refuse_the_upload(trust: Trust, sent: object, words: str) -> None:
    """T-10.3: what does not hold is refused with 400 and the public index's words, whatever it is."""
    with pytest.raises(Refused, match=r"^Invalid attestations supplied during upload: ") as refusal:
        await uploaded(trust, sent)
    assert refusal.value.status == 400
    assert words in str(refusal.value)


junk: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary().map(lambda b: base64.b64encode(b).decode()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place within a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(place for key, item in inner for place in places(item, (*way, key)))]


PLACES = [place for place in places(json.loads(ATTESTED)) if place]


@settings(max_examples=150, deadline=None)
@given(place=st.sampled_from(PLACES), value=junk)
def test_no_object_breaks_the_verification(trust: Trust, place: tuple[Any, ...], value: object) -> None:
    """Whatever stands in whichever place of an object, there is a verdict, and it fits into PostgreSQL."""
    judgement = trust.judge(changed(ATTESTED, ".".join(map(str, place)), value), WHEEL, DIGEST)
    assert judgement.detail.isprintable()
    assert "\0" not in json.dumps([dict(publisher) for publisher in judgement.publishers])


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_certificate_breaks_the_verification(trust: Trust, seed: int) -> None:
    """A certificate with any bytes changed is never verified, and never an accident."""
    random_, material = random.Random(seed), json.loads(ATTESTED)
    attestation = material["attestation_bundles"][0]["attestations"][0]
    certificate = bytearray(base64.b64decode(attestation["verification_material"]["certificate"]))
    for _ in range(random_.randint(1, 4)):
        certificate[random_.randrange(len(certificate))] ^= random_.randint(1, 255)
    attestation["verification_material"]["certificate"] = base64.b64encode(certificate).decode()
    judgement = trust.judge(json.dumps(material).encode(), WHEEL, DIGEST)
    assert judgement.verdict is not AttestationVerdict.VERIFIED
    with pytest.raises(Refused):
        trust.judge_uploaded(json.dumps([attestation]), WHEEL, DIGEST)
