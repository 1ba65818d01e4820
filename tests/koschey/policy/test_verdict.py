"""The one verdict, as a table and as properties that hold whatever the data."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from koschey.causes import UNKNOWN
from koschey.model import Absence, AttestationVerdict, File, FileId, Origin, ProjectStatus, Sha256, Standing, State
from koschey.policy.findings import CheckFault, Evidence, Finding, FindingAction, KnownCheck, Severity
from koschey.policy.rules import Rule, RuleKind, Rules
from koschey.policy.states import LEGAL_MOVES
from koschey.policy.verdict import NOTHING_KNOWN, Policy, Verdict, verdict

END = datetime(2026, 11, 22, tzinfo=UTC)
"""When the window ends."""
SECOND = timedelta(seconds=1)
BEFORE, AFTER, LONG_AFTER = END - SECOND, END + SECOND, END + timedelta(days=30)
LATER = LONG_AFTER + timedelta(minutes=5)

HELD, RELEASED, BLOCKED = State.HELD, State.RELEASED, State.BLOCKED
MALFORMED, CONFLICT, REMOVED = State.MALFORMED, State.CONFLICT, State.REMOVED
TRUST = Rule(RuleKind.TRUSTED, None, "ours", "ada")
BLOCK = Rule(RuleKind.BLOCKED, None, "evil", "bob")
RESERVE = Rule(RuleKind.RESERVED, None, "our names", "bob")
OBSERVE = Rule(RuleKind.OBSERVED, None, "first weeks", "bob")
ALLOWED_ONLY = Rule(RuleKind.ALLOWED_ONLY, None, "by name alone", "bob")
ATTESTED = Rule(RuleKind.ATTESTED, None, "signed or not at all", "bob")
EXCEPT = Rule(
    kind=RuleKind.EXCEPTION,
    version="1.0",
    reason="it is patched",
    actor="ada",
    scope="spam",
    subject="spam-1.0.tar.gz",
    value="0" * 64,
    expires_at=LONG_AFTER + SECOND,
    ticket="SEC-1",
)
ENDED = LONG_AFTER
"""When a rule has just ended, in a case that says nothing else of the time."""
NAMES = KnownCheck("names", {"note": FindingAction.NOTE, "hold": FindingAction.HOLD, "block": FindingAction.BLOCK})
THROUGH = Evidence(frozenset({"names"}))
FAULTY = Evidence(faults=(CheckFault("names", "it crashed"),))


def found(code: str) -> Evidence:
    """What is known once the check has found this."""
    return replace(THROUGH, findings=(Finding(code, Severity.SERIOUS, "like spam", check="names"),))


def about(subject: str, action: FindingAction) -> Rule:
    """A rule about a check or a code of it."""
    return Rule(RuleKind.CHECK, None, "we know better", "bob", "*", subject, action)


class Case(NamedTuple):
    """A file that has been waiting and may go now, but for what a row of the table says."""

    state: State = HELD
    now: datetime = LONG_AFTER
    release_at: datetime | None = END
    looked_at: datetime | None = AFTER
    stored: bool = True
    known: bool = True
    """Whether the sha256 and with it the path is known."""
    yanked: str | None = None
    absent: bool = False
    due_at: datetime | None = None
    """When a look is due: without one an absence is confirmed."""
    page: Absence | None = None
    status: ProjectStatus = ProjectStatus.ACTIVE
    rules: tuple[Rule, ...] = ()
    origin: Origin = Origin.MIRRORED
    checks: tuple[KnownCheck, ...] = ()
    evidence: Evidence = NOTHING_KNOWN
    attestation: AttestationVerdict | None = None

    def judge(self) -> Verdict:
        """Ask for the verdict."""
        file = File(
            id=FileId(1),
            project=NormalizedName("spam"),
            version="1.0",
            filename="spam-1.0.tar.gz",
            sha256=Sha256("0" * 64) if self.known else None,
            size=1,
            upload_time=None,
            first_seen_at=END - timedelta(days=7),
            stored_at=AFTER if self.stored else None,
            requires_python=None,
            yanked=self.yanked,
            core_metadata=None,
            metadata_stored=False,
            upstream_url=None,
            path="/packages/00/00/0/spam-1.0.tar.gz" if self.known else None,
            absent_since=AFTER if self.absent else None,
            absence_due_at=self.due_at,
            attestation=self.attestation,
        )
        standing = Standing(self.state, UNKNOWN, "as it was", self.release_at, None)
        policy = Policy(Rules(self.rules), self.status, None, self.looked_at, self.origin, self.checks, self.page)
        return verdict(file, standing, policy, self.now, self.evidence)


WAIT_FOR_PEOPLE = frozenset({RuleKind.ALLOWED_ONLY, RuleKind.ATTESTED})
"""Kinds of rules under which time alone releases nothing."""
QUARANTINED = ProjectStatus.QUARANTINED
NO, YES = False, True

# what is said of the file, then: served, state, look again, needs look
TABLE: list[tuple[Case, tuple[bool, State, datetime | None, bool]]] = [
    # Time: each condition by itself keeps the file.
    (Case(), (NO, RELEASED, None, NO)),
    (Case(now=BEFORE), (NO, HELD, END, NO)),
    (Case(now=END, looked_at=END), (NO, RELEASED, None, NO)),
    (Case(release_at=None), (NO, HELD, None, NO)),
    (Case(looked_at=None), (NO, HELD, LONG_AFTER, YES)),
    (Case(looked_at=BEFORE), (NO, HELD, LONG_AFTER, YES)),
    (Case(looked_at=BEFORE, now=END), (NO, HELD, END, YES)),
    (Case(stored=False), (NO, HELD, LONG_AFTER, NO)),
    (Case(known=False), (NO, HELD, LONG_AFTER, NO)),
    (Case(stored=False, looked_at=BEFORE), (NO, HELD, LONG_AFTER, YES)),
    # What the upstream took back while it was held is blocked, but only a look after the window says so.
    (Case(absent=True), (NO, BLOCKED, None, NO)),
    # While an absence is suspected it is held, until a look is due; what was released is served.
    (Case(absent=True, due_at=LATER), (NO, HELD, LATER, NO)),
    (Case(absent=True, due_at=AFTER), (NO, HELD, LONG_AFTER, YES)),
    (Case(absent=True, due_at=LATER, now=BEFORE), (NO, HELD, LATER, NO)),
    (Case(absent=True, due_at=LATER, state=RELEASED), (YES, RELEASED, None, NO)),
    (Case(absent=True, due_at=LATER, rules=(TRUST,)), (NO, HELD, LATER, NO)),
    (Case(absent=True, due_at=LATER, rules=(EXCEPT,)), (YES, HELD, LATER, NO)),
    (Case(absent=True, due_at=LATER, rules=(OBSERVE,)), (YES, HELD, LATER, NO)),
    (Case(absent=True, due_at=LATER, rules=(BLOCK,)), (NO, BLOCKED, None, NO)),
    (Case(page=Absence(AFTER, 0, LATER)), (NO, HELD, LATER, NO)),
    (Case(page=Absence(AFTER, 0, AFTER)), (NO, HELD, LONG_AFTER, YES)),
    (Case(page=Absence(AFTER, 0, LATER), rules=(TRUST,)), (NO, HELD, LATER, NO)),
    (Case(page=Absence(AFTER, 0, LATER), state=RELEASED), (YES, RELEASED, None, NO)),
    (Case(page=Absence(AFTER, 3, None)), (NO, HELD, None, NO)),
    (Case(yanked=""), (NO, BLOCKED, None, NO)),
    (Case(yanked="broken"), (NO, BLOCKED, None, NO)),
    (Case(absent=True, stored=False), (NO, BLOCKED, None, NO)),
    (Case(absent=True, now=BEFORE), (NO, BLOCKED, None, NO)),
    (Case(yanked="broken", looked_at=BEFORE), (NO, HELD, LONG_AFTER, YES)),
    # What is released stays released: neither time nor the upstream's changes of mind take it away.
    (Case(RELEASED), (YES, RELEASED, None, NO)),
    (Case(RELEASED, now=BEFORE), (YES, RELEASED, None, NO)),
    (Case(RELEASED, looked_at=None, release_at=None, stored=False), (YES, RELEASED, None, NO)),
    (Case(RELEASED, yanked="broken"), (YES, RELEASED, None, NO)),
    (Case(RELEASED, absent=True), (YES, RELEASED, None, NO)),
    (Case(RELEASED, rules=(TRUST,)), (YES, RELEASED, None, NO)),
    # Trust lets out at once, as soon as it is known what is let out.
    (Case(now=BEFORE, rules=(TRUST,)), (NO, RELEASED, None, NO)),
    (Case(now=BEFORE, rules=(TRUST,), stored=False), (NO, RELEASED, None, NO)),
    (Case(now=BEFORE, rules=(TRUST,), known=False, stored=False), (NO, HELD, END, NO)),
    (Case(now=BEFORE, rules=(replace(TRUST, version="1.0"),)), (NO, RELEASED, None, NO)),
    (Case(now=BEFORE, rules=(replace(TRUST, version="1.1"),)), (NO, HELD, END, NO)),
    # A block beats everything, trust and release among it, and so does the upstream's own quarantine.
    (Case(rules=(BLOCK,)), (NO, BLOCKED, None, NO)),
    (Case(RELEASED, rules=(BLOCK,)), (NO, BLOCKED, None, NO)),
    (Case(RELEASED, rules=(TRUST, BLOCK)), (NO, BLOCKED, None, NO)),
    (Case(HELD, rules=(TRUST, BLOCK)), (NO, BLOCKED, None, NO)),
    (Case(RELEASED, rules=(replace(BLOCK, version="1.0"), TRUST)), (NO, BLOCKED, None, NO)),
    (Case(RELEASED, rules=(replace(BLOCK, version="1.1"),)), (YES, RELEASED, None, NO)),
    # A reservation closes the name to upstreams, and to nobody else.
    (Case(RELEASED, rules=(RESERVE,)), (NO, BLOCKED, None, NO)),
    (Case(HELD, rules=(TRUST, RESERVE)), (NO, BLOCKED, None, NO)),
    (Case(RELEASED, rules=(RESERVE,), origin=Origin.HOSTED), (YES, RELEASED, None, NO)),
    (Case(BLOCKED), (NO, BLOCKED, None, NO)),
    (Case(BLOCKED, rules=(TRUST,)), (NO, BLOCKED, None, NO)),
    (Case(RELEASED, status=QUARANTINED), (NO, BLOCKED, None, NO)),
    (Case(HELD, status=QUARANTINED, rules=(TRUST,)), (NO, BLOCKED, None, NO)),
    # The other statuses of a project change nothing (PEP 792).
    (Case(RELEASED, status=ProjectStatus.ARCHIVED), (YES, RELEASED, None, NO)),
    (Case(RELEASED, status=ProjectStatus.DEPRECATED), (YES, RELEASED, None, NO)),
    (Case(status=ProjectStatus.ARCHIVED), (NO, RELEASED, None, NO)),
    # An exception serves what is held, while it lasts and names these bytes. It brings nothing back.
    (Case(now=BEFORE, rules=(EXCEPT,)), (YES, HELD, END, NO)),
    (Case(rules=(EXCEPT,)), (YES, RELEASED, None, NO)),
    (Case(release_at=None, rules=(EXCEPT,)), (YES, HELD, None, NO)),
    (Case(yanked="broken", rules=(EXCEPT,)), (YES, HELD, None, NO)),
    (Case(absent=True, rules=(EXCEPT,)), (NO, BLOCKED, None, NO)),
    (Case(now=BEFORE, rules=(EXCEPT, BLOCK)), (NO, BLOCKED, None, NO)),
    (Case(now=BEFORE, rules=(replace(EXCEPT, value="1" * 64),)), (NO, HELD, END, NO)),
    (Case(now=BEFORE, rules=(replace(EXCEPT, subject="spam-1.0.zip"),)), (NO, HELD, END, NO)),
    (Case(now=BEFORE, rules=(replace(EXCEPT, version="1.1"),)), (NO, HELD, END, NO)),
    (Case(now=BEFORE, known=False, stored=False, rules=(EXCEPT,)), (NO, HELD, END, NO)),
    (Case(release_at=None, rules=(replace(EXCEPT, expires_at=ENDED),)), (NO, HELD, None, NO)),
    (Case(checks=(NAMES,), evidence=found("hold"), rules=(EXCEPT,)), (YES, HELD, None, NO)),
    (Case(checks=(NAMES,), evidence=found("block"), rules=(EXCEPT,)), (NO, BLOCKED, None, NO)),
    # Observation serves all that is held, and blocks nothing; a block beats it, and so does what is blocked already.
    (Case(now=BEFORE, rules=(OBSERVE,)), (YES, HELD, END, NO)),
    (Case(rules=(OBSERVE,)), (YES, RELEASED, None, NO)),
    (Case(looked_at=BEFORE, rules=(OBSERVE,)), (YES, HELD, LONG_AFTER, YES)),
    (Case(absent=True, rules=(OBSERVE,)), (YES, HELD, None, NO)),
    (Case(yanked="broken", rules=(OBSERVE,)), (YES, HELD, None, NO)),
    (Case(checks=(NAMES,), evidence=found("block"), rules=(OBSERVE,)), (YES, HELD, None, NO)),
    (Case(release_at=None, rules=(OBSERVE, ALLOWED_ONLY)), (YES, HELD, None, NO)),
    (Case(now=BEFORE, known=False, stored=False, rules=(OBSERVE,)), (NO, HELD, END, NO)),
    (Case(rules=(OBSERVE, BLOCK)), (NO, BLOCKED, None, NO)),
    (Case(rules=(OBSERVE, RESERVE)), (NO, BLOCKED, None, NO)),
    (Case(BLOCKED, rules=(OBSERVE,)), (NO, BLOCKED, None, NO)),
    (Case(CONFLICT, rules=(OBSERVE, EXCEPT)), (NO, CONFLICT, None, NO)),
    (Case(status=QUARANTINED, rules=(OBSERVE, EXCEPT)), (NO, BLOCKED, None, NO)),
    (Case(now=BEFORE, rules=(replace(OBSERVE, version="1.1"),)), (NO, HELD, END, NO)),
    (Case(release_at=None, rules=(replace(OBSERVE, expires_at=ENDED),)), (NO, HELD, None, NO)),
    # Where only what is allowed by name is served, time lets nothing out; trust does.
    (Case(rules=(ALLOWED_ONLY,)), (NO, HELD, None, NO)),
    (Case(rules=(ALLOWED_ONLY, TRUST)), (NO, RELEASED, None, NO)),
    (Case(RELEASED, rules=(ALLOWED_ONLY,)), (YES, RELEASED, None, NO)),
    (Case(rules=(replace(ALLOWED_ONLY, version="1.1"),)), (NO, RELEASED, None, NO)),
    (Case(rules=(replace(ALLOWED_ONLY, expires_at=ENDED),)), (NO, RELEASED, None, NO)),
    # Where attestations are required, neither time nor trust lets out what has no verified one.
    (Case(rules=(ATTESTED,)), (NO, HELD, None, NO)),
    (Case(rules=(ATTESTED, TRUST)), (NO, HELD, None, NO)),
    (Case(rules=(ATTESTED,), attestation=AttestationVerdict.REFUTED), (NO, HELD, None, NO)),
    (Case(rules=(ATTESTED,), attestation=AttestationVerdict.UNVERIFIABLE), (NO, HELD, None, NO)),
    (Case(rules=(ATTESTED,), attestation=AttestationVerdict.VERIFIED), (NO, RELEASED, None, NO)),
    (Case(now=BEFORE, rules=(ATTESTED,), attestation=AttestationVerdict.VERIFIED), (NO, HELD, END, NO)),
    (Case(RELEASED, rules=(ATTESTED,)), (YES, RELEASED, None, NO)),
    # What checks say: without their word nothing is let out; a person decides, or the file is blocked.
    (Case(checks=(NAMES,)), (NO, HELD, None, NO)),
    (Case(checks=(NAMES,), evidence=THROUGH), (NO, RELEASED, None, NO)),
    (Case(checks=(NAMES,), evidence=FAULTY), (NO, HELD, None, NO)),
    (Case(checks=(NAMES,), rules=(TRUST,)), (NO, HELD, None, NO)),
    (Case(checks=(NAMES,), evidence=THROUGH, now=BEFORE, rules=(TRUST,)), (NO, RELEASED, None, NO)),
    (Case(checks=(NAMES,), evidence=found("note")), (NO, RELEASED, None, NO)),
    (Case(checks=(NAMES,), evidence=found("hold")), (NO, HELD, None, NO)),
    (Case(checks=(NAMES,), evidence=found("hold"), rules=(TRUST,)), (NO, HELD, None, NO)),
    (Case(checks=(NAMES,), evidence=found("block")), (NO, BLOCKED, None, NO)),
    (Case(checks=(NAMES,), evidence=found("block"), rules=(TRUST,)), (NO, BLOCKED, None, NO)),
    (Case(checks=(NAMES,), evidence=found("block"), now=BEFORE), (NO, BLOCKED, None, NO)),
    (Case(checks=(NAMES,), evidence=found("undeclared")), (NO, HELD, None, NO)),
    (Case(evidence=found("note")), (NO, HELD, None, NO)),
    (Case(RELEASED, checks=(NAMES,), evidence=found("block")), (YES, RELEASED, None, NO)),
    # And policy has the last word about each of them.
    (Case(checks=(NAMES,), rules=(about("names", FindingAction.OFF),)), (NO, RELEASED, None, NO)),
    (Case(checks=(NAMES,), evidence=FAULTY, rules=(about("names", FindingAction.OFF),)), (NO, RELEASED, None, NO)),
    (Case(checks=(NAMES,), rules=(about("names/block", FindingAction.OFF),)), (NO, HELD, None, NO)),
    (
        Case(checks=(NAMES,), evidence=found("block"), rules=(about("names/block", FindingAction.NOTE),)),
        (NO, RELEASED, None, NO),
    ),
    (
        Case(checks=(NAMES,), evidence=found("note"), rules=(about("names", FindingAction.BLOCK),)),
        (NO, BLOCKED, None, NO),
    ),
    # Dead ends, out of which neither time nor trust leads.
    (Case(MALFORMED, rules=(TRUST,)), (NO, MALFORMED, None, NO)),
    (Case(CONFLICT, rules=(TRUST,)), (NO, CONFLICT, None, NO)),
    (Case(REMOVED, rules=(TRUST,)), (NO, REMOVED, None, NO)),
    (Case(REMOVED, rules=(BLOCK,)), (NO, REMOVED, None, NO)),
]


def describe(value: object) -> str:
    """Name a row after what it changes."""
    if not isinstance(value, Case):
        return ""
    given = zip(Case._fields, value, Case._field_defaults.values(), strict=True)
    return ", ".join(f"{name}={now}" for name, now, usual in given if now != usual) or "as usual"


@pytest.mark.parametrize(("case", "expected"), TABLE, ids=describe)
def test_verdict(case: Case, expected: tuple[bool, State, datetime | None, bool]) -> None:
    """The verdict is the one that the table gives."""
    found = case.judge()
    assert (found.served, found.state, found.recheck_at, found.needs_refresh) == expected


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (Case(RELEASED, rules=(BLOCK,)), "blocked by bob: evil"),
        (Case(now=BEFORE, rules=(TRUST,)), "trusted by ada: ours"),
        (Case(status=QUARANTINED), "the upstream quarantined the project: the upstream gives no reason"),
        (Case(yanked="it burns"), "the upstream yanked the file during its quarantine: it burns"),
        (Case(yanked=""), "the upstream yanked the file during its quarantine: no reason given"),
        (Case(absent=True), "the upstream removed the file during its quarantine"),
        (
            Case(now=BEFORE, rules=(EXCEPT,)),
            "exception by ada until 2026-12-22 00:00 UTC (SEC-1): it is patched",
        ),
        (
            Case(yanked="it burns", rules=(OBSERVE,)),
            (
                "observed (first weeks); the file would be blocked: "
                "the upstream yanked the file during its quarantine: it burns"
            ),
        ),
        (Case(rules=(ALLOWED_ONLY,)), "the index serves only files that a reviewer approves or trusts: by name alone"),
        (Case(rules=(ATTESTED,)), "it has no verified attestation, and a rule requires one: signed or not at all"),
        (Case(checks=(NAMES,)), "held until these checks are complete: names"),
        (Case(checks=(NAMES,), evidence=FAULTY), "the check names could not be completed: it crashed"),
        (Case(checks=(NAMES,), evidence=found("hold")), "a reviewer must decide; names: like spam"),
        (Case(checks=(NAMES,), evidence=found("hold"), now=BEFORE), "a reviewer must decide; names: like spam"),
        (Case(checks=(NAMES,), evidence=found("block")), "names: like spam"),
        (Case(BLOCKED), "as it was"),
        (Case(RELEASED), "as it was"),
    ],
    ids=describe,
)
def test_reasons_say_who_and_why(case: Case, reason: str) -> None:
    """Whoever is refused a file is told who or what decided so."""
    assert case.judge().reason == reason


moments = st.timedeltas(timedelta(days=-20), timedelta(days=20)).map(lambda shift: END + shift)
rules = st.builds(
    Rule, st.sampled_from(RuleKind), st.sampled_from([None, "1.0", "1.1"]), st.just("why"), st.just("who")
)
cases = st.builds(
    Case,
    state=st.sampled_from(State),
    now=moments,
    release_at=st.none() | moments,
    looked_at=st.none() | moments,
    stored=st.booleans(),
    known=st.booleans(),
    yanked=st.sampled_from([None, "", "broken"]),
    absent=st.booleans(),
    due_at=st.none() | moments,
    page=st.none() | st.builds(Absence, moments, st.just(0), st.none() | moments),
    status=st.sampled_from(ProjectStatus),
    rules=st.lists(rules, max_size=3).map(tuple),
    checks=st.just(()),
    evidence=st.just(NOTHING_KNOWN),
    attestation=st.none() | st.sampled_from(AttestationVerdict),
)


def covers(case: Case, kind: RuleKind) -> bool:
    return any(rule.kind is kind and rule.version in (None, "1.0") for rule in case.rules)


@given(cases)
def test_only_what_is_released_is_served(case: Case) -> None:
    """A file is served only if its standing says released, or is held under observation, and if nothing blocks it."""
    found = case.judge()
    if found.served:
        assert case.state is RELEASED is found.state or (
            case.state is HELD and case.known and covers(case, RuleKind.OBSERVED)
        )
        assert not covers(case, RuleKind.BLOCKED)
        assert case.status is not QUARANTINED


@given(cases)
def test_time_alone_releases_only_what_fulfils_everything(case: Case) -> None:
    """Without trust nothing becomes released before its time, unverified, or on an old look at the upstream."""
    found = case.judge()
    if found.state is RELEASED and case.state is not RELEASED:
        assert case.state is HELD
        assert not covers(case, RuleKind.BLOCKED)
        assert case.known
        assert not case.absent
        assert case.page is None
        if not covers(case, RuleKind.TRUSTED):
            assert case.release_at is not None
            assert case.looked_at is not None
            assert case.release_at <= min(case.now, case.looked_at)
            assert case.stored
            assert case.yanked is None


@given(cases)
def test_the_verdict_is_a_legal_move(case: Case) -> None:
    """The verdict never asks for a move that the database refuses."""
    found = case.judge()
    assert found.state is case.state or (case.state, found.state) in LEGAL_MOVES


@given(cases)
def test_a_held_file_is_looked_at_again(case: Case) -> None:
    """Only what is held is looked at again, and everything that time can release has a moment for that."""
    found = case.judge()
    # What would be blocked, and is observed, changes again only with the rules.
    ended = case.release_at is None or any(covers(case, kind) for kind in WAIT_FOR_PEOPLE) or found.served
    # A project that is gone for good has no moment; one of which that is suspected has the next look.
    is_missing = case.absent or case.page is not None
    if found.state is not HELD:
        assert (found.recheck_at, found.needs_refresh) == (None, False)
    else:
        assert ended or is_missing or found.recheck_at is not None
        assert case.release_at is not None or is_missing or found.recheck_at is None


@given(cases)
def test_the_verdict_stands_once_it_was_carried_out(case: Case) -> None:
    """Judging again right after the move changes nothing."""
    state = case.judge().state
    assert case._replace(state=state).judge().state is state
