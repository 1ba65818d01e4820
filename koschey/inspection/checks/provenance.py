"""Who published a file, by its provenance object (PEP 740), and whether that is who published the release before.

An account that was taken over publishes from elsewhere: without the workflow whose attestations came with every
release so far, or with those of another. A publisher does change at times, when a repository moves; a reviewer sees
that at a glance, and it is rare enough to be held.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from koschey.inspection.checks.check import (
    Code,
    FileFacts,
    Finding,
    FindingAction,
    Previous,
    Severity,
    Skipped,
)
from koschey.model import AttestationVerdict

REFUTED, LOST, CHANGED, UNVERIFIABLE = "refuted", "attestation-lost", "publisher-changed", "unverifiable"
PASSING = frozenset({"claims", "environment"})
"""What a publisher may say of itself beyond who it is."""

type Publishers = frozenset[tuple[tuple[str, str], ...]]


class Provenance:
    """See the module."""

    name = "provenance"
    codes = {  # noqa: RUF012 - an attribute of the Protocol
        REFUTED: Code(
            "The provenance object does not prove what it claims of this file.", FindingAction.HOLD, Severity.SERIOUS
        ),
        LOST: Code(
            "The release before has a verified attestation, and this one has none.",
            FindingAction.HOLD,
            Severity.SERIOUS,
        ),
        CHANGED: Code(
            "Another publisher than that of the release before attests this one.", FindingAction.HOLD, Severity.SERIOUS
        ),
        # New kinds of publishers appear; where the release before was verified, it is `attestation-lost` as well.
        UNVERIFIABLE: Code("The provenance object cannot be judged here.", FindingAction.NOTE, Severity.WARNING),
    }

    async def __call__(self, facts: FileFacts, path: Path, previous: Previous | None) -> Sequence[Finding]:
        """Compare verdicts and publishers."""
        del path
        for file in (facts, *([previous] if previous else [])):
            if file.promised:
                raise Skipped(f"the provenance object of {file.filename}, which its upstream lists and does not send")
        return list(_compare(facts, previous))


def _compare(facts: FileFacts, previous: Previous | None) -> Iterator[Finding]:
    now = _identities(facts)
    if facts.attestation == AttestationVerdict.REFUTED:
        summary = f"the provenance object of {facts.filename} proves nothing"
        yield Finding(REFUTED, Severity.SERIOUS, summary, {"claimed": _shown(now)})
    elif facts.attestation == AttestationVerdict.UNVERIFIABLE:
        summary = f"the provenance object of {facts.filename} cannot be judged here"
        yield Finding(UNVERIFIABLE, Severity.WARNING, summary, {"claimed": _shown(now)})
    if previous is None or previous.attestation != AttestationVerdict.VERIFIED:
        return
    before = _identities(previous)
    evidence: dict[str, Any] = {"previous": previous.filename, "before": _shown(before), "now": _shown(now)}
    if facts.attestation != AttestationVerdict.VERIFIED:
        summary = f"{previous.filename} was attested by {_words(before)}; {facts.filename} is not"
        yield Finding(LOST, Severity.SERIOUS, summary, evidence)
    elif now != before:
        summary = f"{_words(now)} attests {facts.filename}; {previous.filename} was attested by {_words(before)}"
        yield Finding(CHANGED, Severity.SERIOUS, summary, evidence)


def _identities(facts: FileFacts) -> Publishers:
    return frozenset(_identity(publisher) for publisher in facts.publishers)


def _identity(publisher: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, value) for key, value in publisher.items() if key not in PASSING))


def _shown(publishers: Publishers) -> list[dict[str, str]]:
    return [dict(identity) for identity in sorted(publishers)]


def _words(publishers: Publishers) -> str:
    """Name publishers in a sentence."""
    names = [
        " ".join([identity.pop("kind", "somebody"), *(identity[key] for key in sorted(identity))])
        for identity in _shown(publishers)
    ]
    return ", ".join(names) or "nobody"
