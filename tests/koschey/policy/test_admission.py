"""Where a file starts when it is first seen, and when its window ends."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschey.model import Sha256, Standing, State, UpstreamFile
from koschey.policy.admission import Admission, admit
from koschey.policy.rules import Rule, RuleKind, Rules
from koschey.policy.verdict import Policy
from koschey.policy.windows import window_end, window_start

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY, WEEK, TICK = timedelta(days=1), timedelta(days=7), timedelta(microseconds=1)
PATH = "/packages/00/00/0/spam-1.0.tar.gz"
FILE = UpstreamFile(
    filename="spam-1.0.tar.gz",
    version="1.0",
    url="https://files.example.org/spam-1.0.tar.gz",
    sha256=Sha256("0" * 64),
    size=1,
    upload_time=NOW - DAY,
    requires_python=None,
    yanked=None,
    core_metadata=None,
)
TRUST = Rule(RuleKind.TRUSTED, None, "ours", "ada")
BLOCK = Rule(RuleKind.BLOCKED, "1.0", "evil", "bob")


def enter(
    file: UpstreamFile = FILE,
    *rules: Rule,
    path: str | None = PATH,
    window: timedelta = WEEK,
    last_absent_at: datetime | None = None,
) -> Standing:
    return admit(file, path, Admission(Policy(Rules(rules)), window, NOW, last_absent_at))


@pytest.mark.parametrize(
    ("upload_time", "last_absent_at", "start"),
    [
        (NOW - 30 * DAY, None, NOW - 30 * DAY),  # the first look at a project believes the upstream
        (NOW - 30 * DAY, NOW - DAY, NOW - DAY),  # a file that was not there yesterday is no older than that
        (NOW - DAY, NOW - 30 * DAY, NOW - DAY),
        (None, None, NOW),
        (None, NOW - DAY, NOW),
        (NOW + DAY, None, NOW + DAY),
        (NOW + DAY, NOW - DAY, NOW + DAY),
    ],
)
def test_window_start(upload_time: datetime | None, last_absent_at: datetime | None, start: datetime) -> None:
    """A file's age counts from the later of its upload and the last look without it; unknown is first seen."""
    assert window_start(upload_time, NOW, last_absent_at) == start
    assert window_end(start, WEEK) == start + WEEK


@pytest.mark.parametrize(
    ("upload_time", "last_absent_at", "state", "release_at"),
    [
        (NOW - 30 * DAY, None, State.RELEASED, NOW - 23 * DAY),
        (NOW - WEEK, None, State.RELEASED, NOW),  # exactly at its end the window is over
        (NOW - WEEK + TICK, None, State.HELD, NOW + TICK),
        (NOW - DAY, None, State.HELD, NOW + 6 * DAY),
        (NOW - 30 * DAY, NOW - DAY, State.HELD, NOW + 6 * DAY),  # backdated, in a later look
        (NOW - 30 * DAY, NOW - WEEK, State.RELEASED, NOW),
        (None, None, State.HELD, NOW + WEEK),
        (NOW + 30 * DAY, None, State.HELD, NOW + 37 * DAY),
    ],
)
def test_age_decides(
    upload_time: datetime | None, last_absent_at: datetime | None, state: State, release_at: datetime
) -> None:
    """What is old enough starts released and all else held, with the end of its window written down."""
    found = enter(replace(FILE, upload_time=upload_time), last_absent_at=last_absent_at)
    assert (found.state, found.release_at, found.available_at) == (state, release_at, None)


@pytest.mark.parametrize(
    ("file", "path", "rules", "state", "reason"),
    [
        (FILE, PATH, (TRUST,), State.RELEASED, "trusted by ada: ours"),
        (FILE, PATH, (replace(TRUST, version="2.0"),), State.HELD, "in quarantine"),
        (FILE, PATH, (BLOCK,), State.BLOCKED, "blocked by bob: evil"),
        (FILE, PATH, (replace(BLOCK, version="2.0"),), State.HELD, "in quarantine"),
        (FILE, PATH, (TRUST, BLOCK), State.BLOCKED, "blocked by bob: evil"),
        (replace(FILE, upload_time=NOW - 30 * DAY), PATH, (BLOCK,), State.BLOCKED, "blocked by bob: evil"),
        (replace(FILE, sha256=None), None, (), State.HELD, "without a sha256"),
        (replace(FILE, sha256=None), PATH, (TRUST,), State.HELD, "without a sha256"),
        (replace(FILE, sha256=None, upload_time=NOW - 30 * DAY), None, (), State.HELD, "without a sha256"),
        (replace(FILE, sha256=None), None, (BLOCK,), State.BLOCKED, "blocked by bob"),
        (FILE, None, (TRUST,), State.HELD, "without a sha256"),
        (replace(FILE, version=None, upload_time=NOW - 30 * DAY), PATH, (TRUST,), State.MALFORMED, "no version"),
    ],
)
def test_rules_and_digests_decide(
    file: UpstreamFile, path: str | None, rules: tuple[Rule, ...], state: State, reason: str
) -> None:
    """A block beats trust, trust beats age, and nothing is released of which the bytes are not known."""
    found = enter(file, *rules, path=path)
    assert found.state is state
    assert reason in found.reason


@pytest.mark.parametrize(
    ("upload_time", "state"),
    [(NOW, State.RELEASED), (None, State.RELEASED), (NOW + TICK, State.HELD)],
)
def test_window_of_nothing(upload_time: datetime | None, state: State) -> None:
    """Without a window every file is released at once, unless it comes from the future."""
    assert enter(replace(FILE, upload_time=upload_time), window=timedelta()).state is state


@given(
    upload_time=st.none() | st.timedeltas(-100 * DAY, 100 * DAY).map(lambda shift: NOW + shift),
    last_absent_at=st.none() | st.timedeltas(-100 * DAY, timedelta()).map(lambda shift: NOW + shift),
    window=st.timedeltas(timedelta(), 60 * DAY),
)
def test_no_upload_time_shortens_the_window(
    upload_time: datetime | None, last_absent_at: datetime | None, window: timedelta
) -> None:
    """Whatever an upstream claims, a file that was absent at some look is held for the whole window after it."""
    found = enter(replace(FILE, upload_time=upload_time), window=window, last_absent_at=last_absent_at)
    assert found.release_at is not None
    if last_absent_at is not None:
        assert found.release_at >= last_absent_at + window
    assert (found.state is State.RELEASED) == (found.release_at <= NOW)
