"""The one verdict, as a table and as properties that hold whatever the data."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from koschey.model import File, FileId, Origin, ProjectStatus, Sha256, Standing, State
from koschey.policy.rules import Rule, RuleKind, Rules
from koschey.policy.states import may_move
from koschey.policy.verdict import Policy, Verdict, verdict

END = datetime(2026, 11, 22, tzinfo=UTC)
"""When the window ends."""
SECOND = timedelta(seconds=1)
BEFORE, AFTER, LONG_AFTER = END - SECOND, END + SECOND, END + timedelta(days=30)

HELD, RELEASED, BLOCKED = State.HELD, State.RELEASED, State.BLOCKED
MALFORMED, CONFLICT, REMOVED = State.MALFORMED, State.CONFLICT, State.REMOVED
TRUST = Rule(RuleKind.TRUSTED, None, "ours", "ada")
BLOCK = Rule(RuleKind.BLOCKED, None, "evil", "bob")
RESERVE = Rule(RuleKind.RESERVED, None, "our names", "bob")


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
    status: ProjectStatus = ProjectStatus.ACTIVE
    rules: tuple[Rule, ...] = ()
    origin: Origin = Origin.MIRRORED

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
        )
        standing = Standing(self.state, "as it was", self.release_at, None)
        policy = Policy(Rules(self.rules), self.status, None, self.looked_at, self.origin)
        return verdict(file, standing, policy, self.now)


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
    (Case(stored=False, looked_at=BEFORE), (NO, HELD, LONG_AFTER, YES)),
    # What the upstream took back while it was held is blocked, but only a look after the window says so.
    (Case(absent=True), (NO, BLOCKED, None, NO)),
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
    assert (found.served, found.state, found.look_again_at, found.needs_look) == expected


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (Case(RELEASED, rules=(BLOCK,)), "blocked by bob: evil"),
        (Case(now=BEFORE, rules=(TRUST,)), "trusted by ada: ours"),
        (Case(status=QUARANTINED), "the upstream quarantined the project: the upstream gives no reason"),
        (Case(yanked="it burns"), "the upstream yanked the file during its quarantine: it burns"),
        (Case(yanked=""), "the upstream yanked the file during its quarantine: no reason given"),
        (Case(absent=True), "the upstream removed the file during its quarantine"),
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
    status=st.sampled_from(ProjectStatus),
    rules=st.lists(rules, max_size=3).map(tuple),
)


def covers(case: Case, kind: RuleKind) -> bool:
    return any(rule.kind is kind and rule.version in (None, "1.0") for rule in case.rules)


@given(cases)
def test_only_what_is_released_is_served(case: Case) -> None:
    """A file is served only if its standing says released, and only if nothing blocks it."""
    found = case.judge()
    if found.served:
        assert case.state is RELEASED is found.state
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
        if not covers(case, RuleKind.TRUSTED):
            assert case.release_at is not None
            assert case.looked_at is not None
            assert case.release_at <= min(case.now, case.looked_at)
            assert case.stored
            assert not case.absent
            assert case.yanked is None


@given(cases)
def test_the_verdict_is_a_legal_move(case: Case) -> None:
    """The verdict never asks for a move that the database refuses."""
    found = case.judge()
    assert found.state is case.state or may_move(case.state, found.state)


@given(cases)
def test_a_held_file_is_looked_at_again(case: Case) -> None:
    """Only what is held is looked at again, and everything that time can release has a moment for that."""
    found = case.judge()
    ended = case.release_at is None or any(rule.kind in WAIT_FOR_PEOPLE for rule in case.rules)
    if found.state is not HELD:
        assert (found.look_again_at, found.needs_look) == (None, False)
    else:
        assert ended or found.look_again_at is not None
        assert case.release_at is not None or found.look_again_at is None


@given(cases)
def test_the_verdict_stands_once_it_was_carried_out(case: Case) -> None:
    """Judging again right after the move changes nothing."""
    state = case.judge().state
    assert case._replace(state=state).judge().state is state
