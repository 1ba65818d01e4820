"""News of an upstream: files that are added late, vanish, change, come back (cases Q6, Q7 and Q8)."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from koschey.db.pool import Pool
from koschey.model import State
from koschey.policy.rules import NEVER, RuleKind
from koschey.quarantine.decide import Choice
from tests.support.koschey_up import Koschey, ask, wait_until
from tests.support.mirror import DAY, Mirror, mirroring
from tests.support.rows import NOON, WEEK
from tests.support.upstream.server import Upstream, UpstreamFile

OLD = NOON - 400 * DAY
BLOCKED, CONFLICT, HELD, RELEASED = State.BLOCKED, State.CONFLICT, State.HELD, State.RELEASED


@pytest.fixture
async def mirror(pool: Pool, upstream: Upstream) -> AsyncIterator[Mirror]:
    """A mirror at noon."""
    async with mirroring(pool, upstream) as running:
        yield running


async def held(mirror: Mirror, name: str, *, stored: bool = True) -> UpstreamFile:
    """Have a release of today held."""
    file = mirror.upstream.add(name, "1.0", upload_time=NOON)
    assert (await mirror.refresh(name))[file.filename].standing.state is HELD
    if stored:
        await mirror.store(name)
    return file


async def test_late_files_of_approved_releases_are_held_by_themselves(mirror: Mirror) -> None:
    """Case Q6: a late wheel and a late sdist on each of 50 approved versions: 100 held, all others stay visible."""
    versions = [f"1.{number}" for number in range(50)]
    first = [mirror.upstream.add("n-late", version, upload_time=NOON) for version in versions]
    await mirror.refresh("n-late")
    for version in versions:
        await mirror.decide(Choice.APPROVE, "n-late", version)
    assert len(await mirror.served("n-late")) == 50
    await mirror.wait(DAY)
    late = []
    for number, version in enumerate(versions):
        # One claims to be as old as its release, the other its true age.
        wheel = f"n_late-{version}-py3-none-win32.whl"
        late.append(mirror.upstream.add("n-late", version, filename=wheel, content=wheel.encode(), upload_time=OLD))
        late.append(mirror.upstream.add("n-late", version, sdist=True, upload_time=mirror.now + number * DAY / 100))
    states = await mirror.refresh("n-late")
    assert [states[file.filename].standing.state for file in late] == [HELD] * 100
    assert sorted(await mirror.served("n-late")) == sorted(file.filename for file in first)
    [alert] = await mirror.alerts("late file")
    assert (alert["version"], alert["filename"]) == (None, None)
    assert (alert["detail"]["state"], alert["detail"]["files"], alert["detail"]["releases"]) == ("held", 100, 50)
    assert set(alert["detail"]["first"]) < {file.filename for file in late}
    await mirror.refresh("n-late")
    assert len(await mirror.alerts("late file")) == 1
    await mirror.store("n-late")
    await mirror.wait(5 * DAY)
    for version in versions:
        await mirror.settle("n-late", version)
    assert len(await mirror.served("n-late")) == 50


async def test_late_file_of_an_old_release_is_held(mirror: Mirror) -> None:
    """Case Q6: a file that joins a release which was old at first sight is held, backdated or not, and is told of."""
    old = mirror.upstream.add("n-old", "1.0", upload_time=OLD)
    await mirror.refresh("n-old")
    late = mirror.upstream.add("n-old", "1.0", sdist=True, upload_time=OLD)
    assert (await mirror.refresh("n-old"))[late.filename].standing.state is HELD
    assert await mirror.served("n-old") == [old.filename]
    assert [alert["filename"] for alert in await mirror.alerts("late file")] == [late.filename]


async def test_files_of_a_release_that_still_waits_are_not_late(mirror: Mirror) -> None:
    """A release that comes file by file is told of once it was let out, and not before."""
    await held(mirror, "n-slow")
    mirror.upstream.add("n-slow", "1.0", sdist=True, upload_time=NOON)
    assert [item.standing.state for item in (await mirror.refresh("n-slow")).values()] == [HELD, HELD]
    assert await mirror.alerts("late file") == []


async def test_late_file_under_trust_is_told_of_if_the_release_is_old(mirror: Mirror) -> None:
    """Trust lets a late file out; people are told when its release is older than the public index itself allows."""
    await mirror.rule(RuleKind.TRUSTED, scope="n-trusted")
    mirror.upstream.add("n-trusted", "1.0", upload_time=NOON)
    await mirror.refresh("n-trusted")
    soon = mirror.upstream.add("n-trusted", "1.0", sdist=True, upload_time=NOON)
    assert (await mirror.refresh("n-trusted"))[soon.filename].standing.state is RELEASED
    assert await mirror.alerts("late file") == []
    await mirror.wait(15 * DAY)
    filename = "n_trusted-1.0-py3-none-win32.whl"
    mirror.upstream.add("n-trusted", "1.0", filename=filename, content=b"late", upload_time=NOON)
    await mirror.refresh("n-trusted")
    assert [alert["filename"] for alert in await mirror.alerts("late file")] == [filename]


async def test_held_file_that_vanishes_is_judged_at_once(mirror: Mirror) -> None:
    """The look that confirms an absence asks for the release to be settled, which blocks it, days before its window."""
    file = await held(mirror, "n-gone")
    await mirror.pool.execute("DELETE FROM outbox")
    mirror.upstream.remove(file.filename)
    await mirror.refresh("n-gone")
    await mirror.confirm("n-gone")
    assert "release_held/n-gone/1.0" in await mirror.wanted()
    await mirror.settle("n-gone")
    known = (await mirror.files("n-gone"))[file.filename]
    assert (known.standing.state, known.standing.reason) == (
        BLOCKED,
        "the upstream removed the file during its quarantine",
    )


@pytest.mark.parametrize(
    ("name", "age", "value", "state"),
    [
        ("n-young", 29 * DAY, None, BLOCKED),
        ("n-accepted", 30 * DAY, None, RELEASED),
        ("n-young-by-rule", 59 * DAY, "60", BLOCKED),
        ("n-old-by-rule", 10 * DAY, "10", RELEASED),
        ("n-kept-by-rule", 8 * DAY, NEVER, RELEASED),
        ("n-ahead", -400 * DAY, None, BLOCKED),
    ],
)
async def test_released_file_that_vanishes(
    mirror: Mirror, name: str, age: timedelta, value: str | None, state: State
) -> None:
    """A released file withdrawn soon after its upload is blocked once that is confirmed, an older one stays."""
    if value is not None:
        await mirror.rule(RuleKind.WITHDRAWN, value)
    upload_time = NOON + timedelta(minutes=1) - age
    file = mirror.upstream.add(name, "1.0", upload_time=upload_time)
    mirror.upstream.add(name, "2.0", upload_time=OLD)
    await mirror.refresh(name)
    if (await mirror.states(name))[file.filename] is HELD:
        await mirror.decide(Choice.APPROVE, name)
    mirror.upstream.remove(file.filename)
    if state is RELEASED:
        await mirror.wait(timedelta(minutes=1))
    assert (await mirror.refresh(name))[file.filename].standing.state is RELEASED
    known = (await mirror.confirm(name))[file.filename]
    assert known.standing.state is state
    assert (known.standing.withdrawn_at is not None) is (state is BLOCKED)
    assert (file.filename in await mirror.served(name)) is (state is RELEASED)
    [alert] = await mirror.alerts("absence confirmed")
    assert (alert["filename"], alert["detail"]["served"]) == (file.filename, state is RELEASED)
    assert ("blocked" in await mirror.actions(file.filename)) is (state is BLOCKED)
    await mirror.refresh(name)
    assert len(await mirror.alerts("absence confirmed")) == 1
    assert (await mirror.states(name))[file.filename] is state


async def test_thousands_that_vanish_are_told_of_once(mirror: Mirror) -> None:
    """An upstream that deletes 2,000 files is told of twice when that is confirmed: what is blocked, what stays."""
    names = [
        (number, mirror.upstream.add("n-emptied", f"{number % 1000}.0", sdist=number < 1000, upload_time=uploaded))
        for number in range(2000)
        for uploaded in [OLD if number % 1000 < 400 else NOON - 10 * DAY]
    ]
    mirror.upstream.add("n-emptied", "1000.0", upload_time=OLD)
    await mirror.refresh("n-emptied")
    await mirror.pool.execute("DELETE FROM outbox")
    for _, file in names:
        mirror.upstream.remove(file.filename)
    await mirror.refresh("n-emptied")
    [alert] = await mirror.alerts("absence suspected")
    assert (alert["detail"]["files"], alert["detail"]["releases"]) == (2000, 1000)
    await mirror.confirm("n-emptied")
    told = {alert["detail"]["served"]: alert["detail"] for alert in await mirror.alerts("absence confirmed")}
    assert {served: (detail["files"], detail["releases"]) for served, detail in told.items()} == {
        True: (800, 400),
        False: (1200, 600),
    }
    assert told[True]["reason"].endswith("is still served")
    assert "withdrew the file 10 days after its upload" in told[False]["reason"]
    assert [len(detail["first"]) for detail in told.values()] == [10, 10]
    assert sum("alert" in key for key in await mirror.wanted()) == 3
    states = list((await mirror.states("n-emptied")).values())
    assert (states.count(BLOCKED), states.count(RELEASED)) == (1200, 801)
    journalled = "SELECT count(*) FROM journal WHERE action = 'absence confirmed'"
    assert await mirror.pool.fetchval(journalled) == 2000
    await mirror.refresh("n-emptied")
    assert len(await mirror.alerts("absence confirmed")) == 2


async def test_backdating_does_not_keep_a_withdrawn_file(mirror: Mirror) -> None:
    """The age of a file that was absent in the look before counts from that look, whatever its page claims."""
    mirror.upstream.add("n-backdated", "0.9", upload_time=OLD)
    await mirror.refresh("n-backdated")
    file = mirror.upstream.add("n-backdated", "1.0", upload_time=OLD)
    await mirror.refresh("n-backdated")
    await mirror.decide(Choice.APPROVE, "n-backdated")
    mirror.upstream.remove(file.filename)
    await mirror.refresh("n-backdated")
    assert (await mirror.confirm("n-backdated"))[file.filename].standing.state is BLOCKED


async def test_project_that_its_upstream_quarantines_is_told_of_and_comes_back_whole(mirror: Mirror) -> None:
    """PEP 792: nothing is served at once and an alert says so; its empty page withdraws no file, and ends with it."""
    young = mirror.upstream.add("n-seized", "1.0", upload_time=NOON - 10 * DAY)
    fresh = mirror.upstream.add("n-seized", "2.0", upload_time=NOON)
    await mirror.refresh("n-seized")
    mirror.upstream.set_status("n-seized", "quarantined", "malware")
    await mirror.refresh("n-seized")
    await mirror.refresh("n-seized")
    assert await mirror.served("n-seized") == []
    [alert] = await mirror.alerts("project quarantined")
    assert alert["detail"] == {"status": "quarantined", "reason": "malware"}
    assert await mirror.alerts("absence suspected") == []
    mirror.upstream.set_status("n-seized", "active")
    await mirror.refresh("n-seized")
    assert await mirror.states("n-seized") == {young.filename: RELEASED, fresh.filename: HELD}
    assert await mirror.served("n-seized") == [young.filename]


async def test_other_bytes_under_known_names(mirror: Mirror) -> None:
    """Case Q7: other bytes under 50 names, 25 released and 25 held: old bytes stay 50/50, each is told of once."""
    released = [mirror.upstream.add("n-moved", f"1.{n}", upload_time=OLD) for n in range(25)]
    waiting = [mirror.upstream.add("n-moved", f"2.{n}", upload_time=NOON) for n in range(25)]
    await mirror.refresh("n-moved")
    new = {file.filename: mirror.upstream.replace(file.filename, b"other bytes") for file in (*released, *waiting)}
    for number in range(3):
        known = await mirror.refresh("n-moved")
        mirror.upstream.add("n-moved", "3.0", filename=f"n_moved-3.{number}.zip", content=b"a page that changes")
    assert [known[file.filename].file.sha256 for file in (*released, *waiting)] == [
        file.sha256 for file in (*released, *waiting)
    ]
    assert {known[file.filename].standing.state for file in released} == {RELEASED}
    assert {known[file.filename].standing.state for file in waiting} == {CONFLICT}
    assert sorted(await mirror.served("n-moved")) == sorted(file.filename for file in released)
    assert not {file.sha256 for file in new.values()} & {file.sha256 for file in (await mirror.page("n-moved")).files}
    [alert] = await mirror.alerts("conflict")
    assert (alert["detail"]["files"], alert["detail"]["releases"], len(alert["detail"]["first"])) == (50, 50, 10)
    rows = await mirror.pool.fetch("SELECT filename, detail ->> 'now' AS now FROM journal WHERE action = 'conflict'")
    assert sorted(map(tuple, rows)) == sorted((name, file.sha256) for name, file in new.items())
    last = mirror.upstream.replace(released[0].filename, b"yet other bytes")
    await mirror.refresh("n-moved")
    [_, alert] = await mirror.alerts("conflict")
    assert (alert["filename"], alert["detail"]["now"]) == (released[0].filename, last.sha256)


async def test_yanks_pass_on_and_decide_nothing(mirror: Mirror) -> None:
    """Case Q7: 25 approved and 25 held releases are yanked and un-yanked: the flag follows, the state stays, 50/50."""
    versions = [f"{state}.{number}" for state in (1, 2) for number in range(25)]
    for version in versions:
        mirror.upstream.add("n-yanked", version, upload_time=NOON)
    await mirror.refresh("n-yanked")
    for version in versions[:25]:
        await mirror.decide(Choice.APPROVE, "n-yanked", version)
    before = await mirror.states("n-yanked")
    assert sorted(before.values()) == [HELD] * 25 + [RELEASED] * 25
    for yanked in ("a bad build", None):
        for version in versions:
            if yanked:
                mirror.upstream.yank("n-yanked", version, yanked)
            else:
                mirror.upstream.unyank("n-yanked", version)
        known = await mirror.refresh("n-yanked")
        assert {item.file.yanked for item in known.values()} == {yanked}
        for version in versions:
            await mirror.settle("n-yanked", version)
        assert await mirror.states("n-yanked") == before
        assert {file.yanked for file in (await mirror.page("n-yanked")).files} == {yanked}


async def test_project_that_returns_with_other_files(mirror: Mirror) -> None:
    """Case Q8: gone for a day and back with other files: trusted and past every window, auto-approved: 0."""
    await mirror.rule(RuleKind.TRUSTED, scope="n-back")
    old = mirror.upstream.add("n-back", "1.0", upload_time=OLD)
    await mirror.refresh("n-back")
    mirror.upstream.remove_project("n-back")
    await mirror.wait(DAY)
    await mirror.refresh("n-back")
    await mirror.confirm("n-back")
    await mirror.wait(DAY)
    new = [mirror.upstream.add("n-back", f"1.{n}", upload_time=NOON - 300 * DAY) for n in (1, 2)]
    await mirror.refresh("n-back")
    await mirror.wait(DAY)
    new.append(mirror.upstream.add("n-back", "1.3", upload_time=OLD))
    await mirror.refresh("n-back")
    await mirror.store("n-back")
    await mirror.wait(400 * DAY)
    for version in ("1.1", "1.2", "1.3"):
        settlement = await mirror.settle("n-back", version)
        assert (settlement.state, settlement.recheck_in) == (HELD, None)
        assert "came back" in settlement.reasons[0]
    assert [(await mirror.states("n-back"))[file.filename] for file in new] == [HELD] * 3
    assert await mirror.served("n-back") == [old.filename]
    assert len(await mirror.alerts("project returned")) == 1


async def test_project_that_returns_with_what_it_had(mirror: Mirror) -> None:
    """Case Q8: what was served is served, what was held stays with a person, and so does what comes next: 0."""
    old = mirror.upstream.add("n-same", "1.0", upload_time=OLD)
    fresh = mirror.upstream.add("n-same", "2.0", upload_time=NOON)
    await mirror.refresh("n-same")
    await mirror.store("n-same")
    mirror.upstream.remove_project("n-same")
    await mirror.refresh("n-same")
    await mirror.confirm("n-same")
    await mirror.wait(DAY)
    for file in (old, fresh):
        mirror.upstream._put("n-same", file)
    await mirror.refresh("n-same")
    assert await mirror.states("n-same") == {old.filename: RELEASED, fresh.filename: BLOCKED}
    next_file = mirror.upstream.add("n-same", "3.0", upload_time=mirror.now)
    await mirror.refresh("n-same")
    await mirror.store("n-same")
    await mirror.wait(30 * DAY)
    for version in ("2.0", "3.0"):
        await mirror.settle("n-same", version)
    assert (await mirror.states("n-same"))[next_file.filename] is HELD
    assert await mirror.served("n-same") == [old.filename]


async def test_project_whose_files_are_all_others_at_once(mirror: Mirror) -> None:
    """Case Q8: deleted and registered anew between two looks: none of its files is known, so a person must look."""
    await mirror.rule(RuleKind.TRUSTED, scope="n-swapped")
    mirror.upstream.add("n-swapped", "1.0", upload_time=OLD)
    await mirror.refresh("n-swapped")
    mirror.upstream.remove_project("n-swapped")
    new = mirror.upstream.add("n-swapped", "1.1", upload_time=OLD)
    known = await mirror.refresh("n-swapped")
    assert known[new.filename].standing.state is HELD
    assert len(await mirror.alerts("project returned")) == 1


async def test_returned_project_is_like_any_other_once_a_person_approved(mirror: Mirror) -> None:
    """After an approval of what came back, later files are held and released by time as everywhere."""
    mirror.upstream.add("n-again", "1.0", upload_time=OLD)
    await mirror.refresh("n-again")
    mirror.upstream.remove_project("n-again")
    await mirror.refresh("n-again")
    await mirror.confirm("n-again")
    new = mirror.upstream.add("n-again", "1.1", upload_time=NOON)
    await mirror.refresh("n-again")
    await mirror.store("n-again")
    await mirror.wait(DAY)
    await mirror.decide(Choice.APPROVE, "n-again", "1.1")
    later = mirror.upstream.add("n-again", "1.2", upload_time=mirror.now)
    await mirror.refresh("n-again")
    await mirror.store("n-again")
    await mirror.wait(WEEK + DAY)
    await mirror.settle("n-again", "1.2")
    assert {(await mirror.states("n-again"))[file.filename] for file in (new, later)} == {RELEASED}


async def test_held_file_that_comes_back_stays_with_a_person(mirror: Mirror) -> None:
    """Case Q8: a held file that is gone for a look, or for good, is not released by time or trust when it is back."""
    await mirror.rule(RuleKind.TRUSTED, scope="n-blink")
    for version, confirmed, settled in (("1.0", False, True), ("2.0", True, False), ("3.0", True, True)):
        await mirror.rule(RuleKind.ATTESTED, scope="n-blink")
        file = mirror.upstream.add("n-blink", version, upload_time=mirror.now)
        mirror.upstream.add("n-blink", "0.1", upload_time=OLD)
        await mirror.refresh("n-blink")
        assert (await mirror.states("n-blink"))[file.filename] is HELD
        mirror.upstream.remove(file.filename)
        await mirror.refresh("n-blink")
        if confirmed:
            await mirror.confirm("n-blink")
        if settled:
            await mirror.settle("n-blink", version)
        mirror.upstream._put("n-blink", file)
        await mirror.refresh("n-blink")
        await mirror.pool.execute("DELETE FROM rule WHERE kind = 'attested'")
        await mirror.store("n-blink")
        await mirror.wait(30 * DAY)
        settlement = await mirror.settle("n-blink", version)
        assert (await mirror.states("n-blink"))[file.filename] is (BLOCKED if confirmed else HELD)
        assert settlement.recheck_in is None


async def test_old_page_is_looked_up_again_behind_a_file(koschey: Koschey, upstream: Upstream) -> None:
    """A lock file asks for files and never for pages: news of the upstream arrives all the same."""
    file = upstream.add("n-locked", "1.0")
    assert ask(koschey.url + file.path).body == file.content
    upstream.set_status("n-locked", "quarantined", "malware")
    wait_until(lambda: ask(koschey.url + file.path).status == 403)
    assert "malware" in ask(koschey.url + file.path).json["detail"]


@pytest.mark.parametrize(
    ("name", "state", "words"),
    [
        ("s-gone", BLOCKED, "removed the file"),
        ("s-yanked", BLOCKED, "yanked the file"),
        ("s-quarantined", BLOCKED, "quarantined the project"),
        ("s-replaced", CONFLICT, "other bytes"),
        ("s-fine", RELEASED, "the quarantine window ended"),
    ],
)
async def test_second_look(mirror: Mirror, name: str, state: State, words: str) -> None:
    """At the end of the window the upstream is asked again: what it took back is blocked with that reason.

    An absence is held until it is confirmed, and blocked then.
    """
    file = await held(mirror, name)
    mirror.upstream.add(name, "0.1", upload_time=OLD)
    changes: dict[str, Callable[[], object]] = {
        "s-gone": lambda: mirror.upstream.remove(file.filename),
        "s-yanked": lambda: mirror.upstream.yank(name, "1.0", "bad"),
        "s-quarantined": lambda: mirror.upstream.set_status(name, "quarantined"),
        "s-replaced": lambda: mirror.upstream.replace(file.filename, b"other"),
    }
    if name in changes:
        changes[name]()
    await mirror.wait(WEEK)
    settlement = await mirror.settle(name)
    if name == "s-gone":
        assert "absence suspected" in settlement.reasons[0]
        assert settlement.recheck_in is not None
        assert settlement.recheck_in <= timedelta(minutes=5)
        await mirror.confirm(name)
        await mirror.settle(name)
    known = (await mirror.files(name))[file.filename]
    assert known.standing.state is state
    assert words in known.standing.reason
