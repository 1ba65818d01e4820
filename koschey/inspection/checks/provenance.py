"""Who published a file, by its provenance object (PEP 740), and whether the release before has the same publisher.

An attacker who has taken over an account publishes from elsewhere: without attestations of the workflow that attested
every release so far, or with those of another. A publisher sometimes changes when a repository moves. A reviewer sees
that at a glance, and it is rare enough to hold the file.
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
"""Keys of a publisher that do not identify it."""

type Publishers = frozenset[tuple[tuple[str, str], ...]]


class Provenance:
    """Compares the attestation of a file, and its publishers, with those of the release before."""

    name = "provenance"
    codes = {  # noqa: RUF012 - an attribute of the Protocol
        REFUTED: Code(
            "The provenance object does not prove what it claims of this file.", FindingAction.HOLD, Severity.SERIOUS
        ),
        LOST: Code(
            "The previous release has a verified attestation, and this one has none.",
            FindingAction.HOLD,
            Severity.SERIOUS,
        ),
        CHANGED: Code(
            "Another publisher than that of the previous release attests this one.",
            FindingAction.HOLD,
            Severity.SERIOUS,
        ),
        # New kinds of publishers appear. If the release before was verified, the file is `attestation-lost` as well.
        UNVERIFIABLE: Code("Koschey cannot judge the provenance object.", FindingAction.NOTE, Severity.WARNING),
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
        summary = f"the provenance object of {facts.filename} does not prove what it claims"
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
    """Return the publishers as part of a sentence."""
    names = [
        " ".join([identity.pop("kind", "somebody"), *(identity[key] for key in sorted(identity))])
        for identity in _shown(publishers)
    ]
    return ", ".join(names) or "nobody"
