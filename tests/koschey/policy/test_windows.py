"""The clocks of a file: what its upstream claims, when we saw it, and when it may be let out (case Q4)."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from koschey.db.pool import Pool
from koschey.model import State
from koschey.policy.rules import NEVER, RuleKind
from koschey.standards.project_json import render_project as render_project_json
from koschey.standards.simple_json import format_time, render_project
from tests.support.mirror import A_MOMENT, DAY, Mirror, mirroring
from tests.support.rows import NOON, WEEK
from tests.support.upstream.server import Upstream

YEARS = timedelta(days=3652)


@pytest.fixture
async def mirror(pool: Pool, upstream: Upstream) -> AsyncIterator[Mirror]:
    """A mirror at noon."""
    async with mirroring(pool, upstream) as running:
        yield running


@pytest.fixture
def undated(upstream: Upstream) -> Iterator[Upstream]:
    """The upstream while its pages give no upload time."""
    upstream.upload_times = False
    yield upstream
    upstream.upload_times = True


async def released_at(mirror: Mirror, name: str, filename: str) -> datetime:
    """Let time pass in steps of half a day until a file is released, and return when that was."""
    await mirror.store(name)
    for _ in range(60):
        if (await mirror.states(name))[filename] is State.RELEASED:
            return mirror.now
        await mirror.wait(DAY / 2)
        await mirror.settle(name)
    raise AssertionError((await mirror.files(name))[filename].standing)


@pytest.mark.parametrize(
    ("claim", "earliest"),
    [(NOON, NOON + WEEK), (NOON - 3 * DAY, NOON + 4 * DAY), (NOON + YEARS, NOON + YEARS + WEEK)],
    ids=["now", "three days ago", "in ten years"],
)
async def test_first_look_believes_the_claimed_time_and_none_from_the_future(
    mirror: Mirror, claim: datetime, earliest: datetime
) -> None:
    """Case Q4: a file is due a window after its claimed upload, however far in the future that lies."""
    file = mirror.upstream.add("c-first", "1.0", upload_time=claim)
    known = (await mirror.refresh("c-first"))[file.filename]
    assert known.standing.state is State.HELD
    assert known.standing.release_at == earliest
    assert known.file.upload_time == claim
    await mirror.store("c-first")
    await mirror.at(min(earliest, NOON + 3000 * DAY) - A_MOMENT)
    assert (await mirror.settle("c-first")).held


@pytest.mark.parametrize(
    ("name", "claim"),
    [("c-back", NOON - YEARS), ("c-ahead", NOON + DAY), ("c-far-ahead", NOON + YEARS), ("c-without", None)],
)
async def test_file_of_a_known_project_is_never_out_before_its_window(
    mirror: Mirror, name: str, claim: datetime | None
) -> None:
    """Case Q4: claimed ten years old, ten years young or nothing, no file is out before the window from its look."""
    mirror.upstream.add(name, "0.9", upload_time=NOON - 400 * DAY)
    await mirror.refresh(name)
    absent_at = mirror.now
    mirror.upstream.upload_times = claim is not None
    try:
        file = mirror.upstream.add(name, "1.0", upload_time=claim or NOON - YEARS)
        known = (await mirror.refresh(name))[file.filename]
    finally:
        mirror.upstream.upload_times = True
    assert known.standing.state is State.HELD
    assert known.standing.release_at is not None
    assert known.standing.release_at >= max(absent_at, claim or absent_at) + WEEK
    if claim != NOON + YEARS:
        assert await released_at(mirror, name, file.filename) >= absent_at + WEEK


async def test_changed_upload_time_gains_nothing(mirror: Mirror) -> None:
    """Case Q4: of times that change with every look the first counts, and the page goes on giving it."""
    file = mirror.upstream.add("c-moving", "1.0", upload_time=NOON - DAY)
    await mirror.refresh("c-moving")
    for claim in (NOON - YEARS, NOON - 30 * DAY, NOON + YEARS):
        mirror.upstream._put("c-moving", replace(file, upload_time=claim))
        known = (await mirror.refresh("c-moving"))[file.filename]
        assert known.file.upload_time == NOON - DAY
        await mirror.settle("c-moving")
        assert (await mirror.files("c-moving"))[file.filename].standing.release_at == NOON + 6 * DAY
    assert await released_at(mirror, "c-moving", file.filename) >= NOON + 6 * DAY


async def test_time_that_is_claimed_later_gains_nothing(mirror: Mirror, undated: Upstream) -> None:
    """Case Q4: where the first look gave no upload time, one that is given afterwards makes no file older."""
    file = undated.add("c-later", "1.0", upload_time=NOON - YEARS)
    seen = (await mirror.refresh("c-later"))[file.filename]
    undated.upload_times = True
    known = (await mirror.refresh("c-later"))[file.filename]
    assert known.file.upload_time is None
    assert known.standing.release_at == seen.file.first_seen_at + WEEK
    assert await released_at(mirror, "c-later", file.filename) >= seen.file.first_seen_at + WEEK


async def test_html_upstream_is_as_old_as_our_knowledge(mirror: Mirror) -> None:
    """Case Q4: pages in HTML give no time; files are held from first sight, and pages give that time."""
    mirror.upstream.html_only = True
    try:
        file = mirror.upstream.add("c-html", "1.0", upload_time=NOON - YEARS)
        known = (await mirror.refresh("c-html"))[file.filename]
        assert known.file.upload_time is None
        assert await released_at(mirror, "c-html", file.filename) >= known.file.first_seen_at + WEEK
    finally:
        mirror.upstream.html_only = False
    page = await mirror.page("c-html")
    expected = format_time(known.file.first_seen_at)
    assert [each["upload-time"] for each in json.loads(render_project(page))["files"]] == [expected]
    document = json.loads(render_project_json(page, "1.0", None, all_releases=False))
    assert [each["upload_time_iso_8601"] for each in document["urls"]] == [expected]


async def test_every_file_of_a_page_has_an_upload_time(mirror: Mirror) -> None:
    """Case Q4: with every kind of claim each listed file has an upload time; the upstream's own where there is one."""
    claims = {"1.0": NOON - YEARS, "1.1": NOON - 20 * DAY, "1.2": datetime(1970, 1, 1, tzinfo=NOON.tzinfo)}
    for version, claim in claims.items():
        mirror.upstream.add("c-every", version, upload_time=claim)
    await mirror.refresh("c-every")
    rendered = json.loads(render_project(await mirror.page("c-every")))["files"]
    assert [each["upload-time"] for each in rendered] == [format_time(claim) for claim in claims.values()]


@pytest.mark.parametrize(("days", "window"), [("20", 20 * DAY), ("0.5", DAY / 2)])
async def test_rule_for_unknown_age(mirror: Mirror, undated: Upstream, days: str, window: timedelta) -> None:
    """`unknown-age` says how long an undated file is held from first sight, and does nothing to dated ones."""
    await mirror.rule(RuleKind.UNKNOWN_AGE, days)
    file = undated.add("c-unknown", "1.0")
    known = (await mirror.refresh("c-unknown"))[file.filename]
    assert known.standing.release_at == known.file.first_seen_at + window
    released = await released_at(mirror, "c-unknown", file.filename)
    assert window <= released - known.file.first_seen_at <= window + DAY
    undated.upload_times = True
    dated = undated.add("c-dated", "1.0", upload_time=NOON)
    assert (await mirror.refresh("c-dated"))[dated.filename].standing.release_at == NOON + WEEK


async def test_unknown_age_may_be_for_a_person(mirror: Mirror, undated: Upstream) -> None:
    """With `unknown-age` never, no time lets an undated file out; when the rule ends, held files follow the window."""
    await mirror.rule(RuleKind.UNKNOWN_AGE, NEVER)
    file = undated.add("c-never", "1.0")
    assert (await mirror.refresh("c-never"))[file.filename].standing.release_at is None
    await mirror.store("c-never")
    await mirror.wait(400 * DAY)
    settlement = await mirror.settle("c-never")
    assert [held.filename for held in settlement.held] == [file.filename]
    assert settlement.recheck_in is None
    await mirror.pool.execute("DELETE FROM rule")
    assert (await mirror.settle("c-never")).state is State.RELEASED


async def test_rule_that_believes_no_upstream(mirror: Mirror) -> None:
    """`first-seen` counts every window from first sight: also of a first look, and of files that are held already."""
    held = mirror.upstream.add("c-seen", "1.0", upload_time=NOON - 6 * DAY)
    await mirror.refresh("c-seen")
    await mirror.rule(RuleKind.FIRST_SEEN)
    seen_at = (await mirror.files("c-seen"))[held.filename].file.first_seen_at
    await mirror.settle("c-seen")
    assert (await mirror.files("c-seen"))[held.filename].standing.release_at == seen_at + WEEK
    old = mirror.upstream.add("c-old", "1.0", upload_time=NOON - YEARS)
    known = (await mirror.refresh("c-old"))[old.filename]
    assert known.standing.state is State.HELD
    assert known.standing.release_at == known.file.first_seen_at + WEEK
    assert known.file.upload_time == NOON - YEARS
    assert await released_at(mirror, "c-old", old.filename) >= known.file.first_seen_at + WEEK


async def test_three_clocks_are_kept_apart(mirror: Mirror) -> None:
    """A released file knows when it was uploaded, when it was first seen, and since when it is available here."""
    file = mirror.upstream.add("c-three", "1.0", upload_time=NOON - 2 * DAY)
    await mirror.refresh("c-three")
    seen_at = mirror.now
    released = await released_at(mirror, "c-three", file.filename)
    known = (await mirror.files("c-three"))[file.filename]
    assert (known.file.upload_time, known.file.first_seen_at) == (NOON - 2 * DAY, seen_at)
    assert known.standing.available_at is not None
    assert NOON + 5 * DAY <= known.standing.available_at <= released
