"""What an upstream lists no more: suspected, confirmed by further looks, or over (case Q8, narrowed)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from packaging.utils import NormalizedName

from koschey.concurrency.waiting import cancelled
from koschey.db.pool import Pool
from koschey.errors import Busy, UpstreamError, UpstreamUnavailable
from koschey.mirror import follower
from koschey.mirror.follower import Follower, keep_rechecking
from koschey.model import Absence, Actor, Advisory, State, UpstreamPage
from koschey.policy.absence import USUALLY, next_absence
from koschey.policy.advisories import Feed
from koschey.policy.rules import RuleKind
from koschey.quarantine.advisories import write_reading
from koschey.quarantine.decide import Choice, Decision, decide
from koschey.quarantine.explanations import load_snapshot
from tests.support.mirror import A_MOMENT, DAY, Mirror, mirroring
from tests.support.rows import NOON, WEEK
from tests.support.upstream.server import JSON, Upstream, UpstreamFile

OLD = NOON - 400 * DAY
MINUTE = timedelta(minutes=1)
BLOCKED, HELD, RELEASED = State.BLOCKED, State.HELD, State.RELEASED
GONE: dict[str, Any] = {"status": 404, "body": b"x"}
EMPTY: dict[str, Any] = {"status": 200, "body": b'{"files": []}', "content_type": JSON}
HTML: dict[str, Any] = {"status": 200, "body": b"<h1>Links for x</h1>", "content_type": "text/html"}


@pytest.fixture
async def mirror(pool: Pool, upstream: Upstream) -> AsyncIterator[Mirror]:
    """A mirror at noon."""
    async with mirroring(pool, upstream) as running:
        yield running


async def journalled(mirror: Mirror) -> list[str]:
    """The actions of the journal about absences, in order."""
    rows = await mirror.pool.fetch("SELECT action FROM journal WHERE action LIKE 'absence%' ORDER BY serial")
    return [row["action"] for row in rows]


async def released(mirror: Mirror, name: str, *, age: timedelta = 10 * DAY) -> UpstreamFile:
    """Have a release seen that is out, and young enough to be blocked when it is withdrawn."""
    file = mirror.upstream.add(name, "1.0", upload_time=NOON - age)
    assert (await mirror.refresh(name))[file.filename].standing.state is RELEASED
    return file


async def look_through(mirror: Mirror, name: str) -> None:
    """Look once, and then until what was missing is confirmed."""
    await mirror.refresh(name)
    await mirror.confirm(name)


@pytest.mark.parametrize("answer", [GONE, EMPTY, HTML])
@pytest.mark.parametrize("dated", [True, False])
async def test_one_absence_of_a_page_takes_nothing_away(mirror: Mirror, answer: dict[str, Any], dated: bool) -> None:
    """A mirror that hiccups: what was released is served before, during and after, and both events are told."""
    mirror.upstream.upload_times = dated
    try:
        files = [mirror.upstream.add("a-blip", f"{n}.0", upload_time=NOON - n * 9 * DAY) for n in (1, 50)]
        await mirror.refresh("a-blip")
        for version in ("1.0", "50.0"):
            if not dated:
                await mirror.decide(Choice.APPROVE, "a-blip", version)
        served = sorted(file.filename for file in files)
        assert sorted(await mirror.served("a-blip")) == served
        fault = mirror.upstream.fault("a-blip", times=2, **answer)
        for _ in range(2):
            await mirror.refresh("a-blip")
            assert sorted(await mirror.served("a-blip")) == served
        assert fault.applied == 2
        assert await journalled(mirror) == ["absence suspected"]
        assert len(await mirror.alerts("absence suspected")) == 1
        await mirror.refresh("a-blip")
        assert sorted(await mirror.served("a-blip")) == served
        assert await journalled(mirror) == ["absence suspected", "absence ended"]
        assert len(await mirror.alerts("absence ended")) == 1
        assert await mirror.pool.fetchval("SELECT recheck_at FROM project") is None
        assert set((await mirror.states("a-blip")).values()) == {RELEASED}
    finally:
        mirror.upstream.upload_times = True


async def test_one_absence_of_files_takes_nothing_away(mirror: Mirror) -> None:
    """Files that a page lacks for some looks are served meanwhile; they are told of once, and when they are back."""
    mirror.upstream.add("a-part", "0.1", upload_time=OLD)
    files = [mirror.upstream.add("a-part", f"1.{n}", upload_time=NOON - 10 * DAY) for n in range(3)]
    await mirror.refresh("a-part")
    for file in files:
        mirror.upstream.remove(file.filename)
    for _ in range(2):
        await mirror.refresh("a-part")
    assert len(await mirror.served("a-part")) == 4
    [alert] = await mirror.alerts("absence suspected")
    assert alert["detail"]["files"] == 3
    assert "12:05 UTC" in alert["detail"]["reason"]
    for file in files:
        mirror.upstream._put("a-part", file)
    await mirror.refresh("a-part")
    assert await journalled(mirror) == ["absence suspected"] * 3 + ["absence ended"] * 3
    [alert] = await mirror.alerts("absence ended")
    assert alert["detail"]["files"] == 3
    assert all(item.file.absence is None for item in (await mirror.files("a-part")).values())


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("trusted", [True, False])
async def test_nothing_is_released_while_an_absence_is_suspected(mirror: Mirror, whole: bool, trusted: bool) -> None:
    """Neither a window that ends nor trust releases what is missing; what is held says so, and when looks are due."""
    file = mirror.upstream.add("a-wait", "1.0", upload_time=NOON)
    mirror.upstream.add("a-wait", "0.1", upload_time=OLD)
    await mirror.refresh("a-wait")
    await mirror.store("a-wait")
    if trusted:
        await mirror.rule(RuleKind.TRUSTED, scope="a-wait")
    await mirror.wait(8 * DAY)
    if whole:
        mirror.upstream.fault("a-wait", **GONE)
    else:
        mirror.upstream.remove(file.filename)
    await mirror.refresh("a-wait")
    settlement = await mirror.settle("a-wait")
    assert (settlement.state, (await mirror.states("a-wait"))[file.filename]) == (HELD, HELD)
    assert "absence suspected" in settlement.reasons[0]
    assert settlement.recheck_in == 5 * MINUTE
    explained = (await load_snapshot(mirror.pool, NormalizedName("a-wait"), WEEK)).explain("1.0")
    assert (explained.state, explained.release_at) == ("held", None)
    assert "absence suspected" in explained.reason
    # Once a look is due, settling asks for it: the quarantine goes on although nobody else looks.
    await mirror.wait(6 * MINUTE)
    before = mirror.upstream.count("/simple/a-wait/")
    assert (await mirror.settle("a-wait")).state is HELD
    assert mirror.upstream.count("/simple/a-wait/") == before + 1


async def test_exception_serves_until_an_absence_is_confirmed(mirror: Mirror) -> None:
    """What somebody vouched for is served under suspicion, and not any more once the file is gone."""
    file = mirror.upstream.add("a-vouched", "1.0", upload_time=NOON)
    mirror.upstream.add("a-vouched", "0.1", upload_time=OLD)
    await mirror.refresh("a-vouched")
    await mirror.store("a-vouched")
    decision = Decision(Choice.EXCEPT, NormalizedName("a-vouched"), "1.0", "because", days=30, ticket="T-1")
    async with mirror.pool.acquire() as connection:
        await decide(connection, Actor("ada", "cli"), decision)
    mirror.upstream.remove(file.filename)
    await mirror.refresh("a-vouched")
    in_sql = "SELECT count(*) FROM served_file WHERE project = 'a-vouched' AND version = '1.0'"
    assert file.filename in await mirror.served("a-vouched")
    assert await mirror.pool.fetchval(in_sql) == 1
    await mirror.confirm("a-vouched")
    assert file.filename not in await mirror.served("a-vouched")
    assert await mirror.pool.fetchval(in_sql) == 0


async def test_held_files_that_reappear_wait_for_a_person(mirror: Mirror) -> None:
    """Case Q8: what was held while its page was absent, if only for a look, is released by nobody but a person."""
    file = mirror.upstream.add("a-held", "1.0", upload_time=NOON)
    await mirror.refresh("a-held")
    await mirror.store("a-held")
    mirror.upstream.fault("a-held", times=1, **GONE)
    await mirror.refresh("a-held")
    await mirror.refresh("a-held")
    await mirror.wait(30 * DAY)
    settlement = await mirror.settle("a-held")
    assert (await mirror.states("a-held"))[file.filename] is HELD
    assert "a reviewer must decide; upstream: the upstream did not list the file" in settlement.reasons[0]
    await mirror.decide(Choice.APPROVE, "a-held")
    assert await mirror.served("a-held") == [file.filename]
    # Later releases of the project wait for time alone: a suspicion is no change of hands.
    later = mirror.upstream.add("a-held", "2.0", upload_time=mirror.now)
    await mirror.refresh("a-held")
    await mirror.store("a-held")
    await mirror.wait(8 * DAY)
    await mirror.settle("a-held", "2.0")
    assert (await mirror.states("a-held"))[later.filename] is RELEASED


async def test_policy_may_forgive_hiccups(mirror: Mirror) -> None:
    """An operator whose mirror hiccups has time go on for what reappears: a rule about one code of one check."""
    await mirror.rule(RuleKind.CHECK, "note", subject="upstream/reappeared")
    file = mirror.upstream.add("a-forgiven", "1.0", upload_time=NOON)
    await mirror.refresh("a-forgiven")
    await mirror.store("a-forgiven")
    mirror.upstream.fault("a-forgiven", times=1, **GONE)
    await mirror.refresh("a-forgiven")
    await mirror.refresh("a-forgiven")
    await mirror.wait(8 * DAY)
    await mirror.settle("a-forgiven")
    assert (await mirror.states("a-forgiven"))[file.filename] is RELEASED


def test_looks_that_confirm_are_some_time_apart() -> None:
    """Looks count when they are due: a burst is one look, and looks that come late do not come all at once."""
    first = next_absence(None, NOON, USUALLY)
    assert first == Absence(NOON, 0, NOON + 5 * MINUTE)
    assert next_absence(first, NOON + 4 * MINUTE, USUALLY) == first
    second = next_absence(first, NOON + 5 * MINUTE, USUALLY)
    assert second == Absence(NOON, 1, NOON + 15 * MINUTE)
    late = next_absence(first, NOON + 3 * DAY, USUALLY)
    assert late == Absence(NOON, 1, NOON + 3 * DAY + 10 * MINUTE)
    assert next_absence(late, NOON + 3 * DAY + MINUTE, USUALLY) == late
    third = next_absence(late, NOON + 3 * DAY + 10 * MINUTE, USUALLY)
    assert third == Absence(NOON, 2, NOON + 3 * DAY + 55 * MINUTE)
    confirmed = next_absence(third, NOON + 3 * DAY + 55 * MINUTE, USUALLY)
    assert confirmed == Absence(NOON, 3, None)
    assert confirmed.is_confirmed
    assert next_absence(confirmed, NOON + 9 * DAY, USUALLY) == confirmed
    assert next_absence(next_absence(None, NOON, [MINUTE]), NOON + MINUTE, [MINUTE]).is_confirmed


async def test_confirmed_absence_of_a_page(mirror: Mirror) -> None:
    """After 5, 15 and 60 minutes: what was held or young is blocked, what is old is served, and it is told of."""
    old = mirror.upstream.add("a-gone", "0.1", upload_time=OLD)
    held = mirror.upstream.add("a-gone", "2.0", upload_time=NOON)
    young = await released(mirror, "a-gone")
    mirror.upstream.remove_project("a-gone")
    began = mirror.now + A_MOMENT
    await mirror.refresh("a-gone")
    for minutes, state in ((5, RELEASED), (15, RELEASED), (60, BLOCKED)):
        await mirror.at(began + minutes * MINUTE - A_MOMENT)
        await mirror.refresh("a-gone")
        assert (await mirror.states("a-gone"))[young.filename] is state
    await mirror.settle("a-gone", "2.0")
    assert await mirror.states("a-gone") == {young.filename: BLOCKED, old.filename: RELEASED, held.filename: BLOCKED}
    assert await mirror.served("a-gone") == [old.filename]
    assert await journalled(mirror) == ["absence suspected", *["absence confirmed"] * 4]
    told = [(alert["filename"], alert["detail"].get("served")) for alert in await mirror.alerts("absence confirmed")]
    assert sorted(told, key=str) == sorted(
        [(held.filename, None), (young.filename, False), (old.filename, True)], key=str
    )
    await mirror.refresh("a-gone")
    assert len(await journalled(mirror)) == 5
    assert await mirror.pool.fetchval("SELECT recheck_at FROM project") is None


@pytest.mark.parametrize("whole", [True, False])
async def test_released_files_that_come_back_are_served_again(mirror: Mirror, whole: bool) -> None:
    """What a confirmed absence alone has blocked is served again by itself once it is listed as it was."""
    other = mirror.upstream.add("a-back", "0.1", upload_time=OLD)
    file = await released(mirror, "a-back")
    if whole:
        mirror.upstream.fault("a-back", times=4, **GONE)
    else:
        mirror.upstream.remove(file.filename)
    await look_through(mirror, "a-back")
    assert await mirror.served("a-back") == [other.filename]
    if not whole:
        mirror.upstream._put("a-back", file)
    await mirror.refresh("a-back")
    assert sorted(await mirror.served("a-back")) == sorted([file.filename, other.filename])
    actions = await mirror.actions(file.filename)
    assert actions[-5:] == ["absence confirmed", "blocked", "absence ended", "held", "released"]
    standing = (await mirror.files("a-back"))[file.filename].standing
    assert (standing.withdrawn_at, standing.reason) == (
        None,
        "the upstream withdrew the released file, and lists it again unchanged",
    )
    # What is new after the whole project was gone is for a person, whatever its age.
    new = mirror.upstream.add("a-back", "3.0", upload_time=mirror.now)
    await mirror.refresh("a-back")
    await mirror.store("a-back")
    await mirror.wait(30 * DAY)
    await mirror.settle("a-back", "3.0")
    assert (await mirror.states("a-back"))[new.filename] is (HELD if whole else RELEASED)


async def bytes_differ(mirror: Mirror, file: UpstreamFile) -> None:
    mirror.upstream._put("a-stays", file)
    mirror.upstream.replace(file.filename, b"other bytes")


async def upload_differs(mirror: Mirror, file: UpstreamFile) -> None:
    mirror.upstream.add("a-stays", "1.0", upload_time=mirror.now, content=file.content, filename=file.filename)


async def page_has_news(mirror: Mirror, file: UpstreamFile) -> None:
    mirror.upstream._put("a-stays", file)
    mirror.upstream.add("a-stays", "9.0", upload_time=mirror.now)


async def digest_is_missing(mirror: Mirror, file: UpstreamFile) -> None:
    mirror.upstream._put("a-stays", file)
    mirror.upstream.hashes = None


async def person_blocked(mirror: Mirror, file: UpstreamFile) -> None:
    mirror.upstream._put("a-stays", file)
    await mirror.decide(Choice.BLOCK, "a-stays")


async def person_unblocked(mirror: Mirror, file: UpstreamFile) -> None:
    mirror.upstream._put("a-stays", file)
    await mirror.decide(Choice.UNBLOCK, "a-stays")


async def malware_reported(mirror: Mirror, file: UpstreamFile) -> None:
    mirror.upstream._put("a-stays", file)
    advisory = Advisory("MAL-1", NormalizedName("a-stays"), True, "malware", ("1.0",), (), mirror.now, None)
    async with mirror.pool.acquire() as connection:
        await write_reading(connection, [advisory], None, Feed(DAY))


async def project_quarantined(mirror: Mirror, file: UpstreamFile) -> None:
    mirror.upstream._put("a-stays", file)
    mirror.upstream.set_status("a-stays", "quarantined", "malware")
    await mirror.refresh("a-stays")
    mirror.upstream.set_status("a-stays", "active")
    mirror.upstream.add("a-stays", "9.0", upload_time=mirror.now)


@pytest.mark.parametrize(
    "change",
    [
        *(bytes_differ, upload_differs, page_has_news, digest_is_missing, person_blocked, person_unblocked),
        *(malware_reported, project_quarantined),
    ],
)
async def test_nothing_else_is_served_again_by_itself(mirror: Mirror, change: Any) -> None:
    """Other bytes, another upload, other files beside it, a person's decision, a report: it stays for a person."""
    file = await released(mirror, "a-stays")
    mirror.upstream.remove_project("a-stays")
    await look_through(mirror, "a-stays")
    assert (await mirror.states("a-stays"))[file.filename] is BLOCKED
    try:
        await change(mirror, file)
        await mirror.refresh("a-stays")
        await mirror.wait(30 * DAY)
        await mirror.refresh("a-stays")
        await mirror.settle("a-stays")
    finally:
        mirror.upstream.hashes = "sha256"
    assert (await mirror.states("a-stays"))[file.filename] in (BLOCKED, HELD)
    assert file.filename not in await mirror.served("a-stays")


async def test_what_a_person_has_blocked_stays_blocked(mirror: Mirror) -> None:
    """A block from before the absence is a person's to lift, also when the file comes back as it was."""
    file = await released(mirror, "a-blocked")
    await mirror.decide(Choice.BLOCK, "a-blocked")
    await mirror.pool.execute("DELETE FROM rule")
    mirror.upstream.remove_project("a-blocked")
    await look_through(mirror, "a-blocked")
    mirror.upstream._put("a-blocked", file)
    await mirror.refresh("a-blocked")
    assert (await mirror.states("a-blocked"))[file.filename] is BLOCKED


async def test_absent_page_ends_no_quarantine(mirror: Mirror) -> None:
    """A page that is gone after its project was quarantined says nothing of the status: nothing is served again."""
    file = await released(mirror, "a-seized", age=300 * DAY)
    mirror.upstream.set_status("a-seized", "quarantined", "malware")
    await mirror.refresh("a-seized")
    mirror.upstream.remove_project("a-seized")
    await look_through(mirror, "a-seized")
    assert await mirror.served("a-seized") == []
    assert (await mirror.page("a-seized")).status == "quarantined"
    assert (await mirror.states("a-seized"))[file.filename] is RELEASED


@pytest.mark.parametrize("answer", [{"status": 403}, {"status": 500}, {"status": 200, "body": b"<p>log in</p>"}])
async def test_errors_confirm_and_end_nothing(mirror: Mirror, answer: dict[str, Any]) -> None:
    """An upstream that answers with an error says nothing of what it has: no look has taken place."""
    file = await released(mirror, "a-error")
    mirror.upstream.fault("a-error", times=1, **GONE)
    await mirror.refresh("a-error")
    mirror.upstream.fault("a-error", content_type="text/html", **answer)
    for _ in range(3):
        await mirror.wait(DAY)
        with suppress(UpstreamError):
            await mirror.refresh("a-error")
    assert await journalled(mirror) == ["absence suspected"]
    assert await mirror.served("a-error") == [file.filename]
    assert await mirror.pool.fetchval("SELECT absence_looks FROM project") == 0


async def test_unchanged_page_confirms_what_it_lacks(mirror: Mirror) -> None:
    """While an absence is suspected the whole page is read, though its ETag is known: it may lack a file still."""
    mirror.upstream.add("a-etag", "0.1", upload_time=OLD)
    file = await released(mirror, "a-etag")
    mirror.upstream.remove(file.filename)
    await look_through(mirror, "a-etag")
    assert (await mirror.states("a-etag"))[file.filename] is BLOCKED
    await mirror.refresh("a-etag")
    assert mirror.upstream.about("/a-etag/")[-1].status == 304


async def test_due_looks_survive_a_restart(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks again is a worker that finds the due look in PostgreSQL, whether or not it follows the upstream."""
    monkeypatch.setattr(follower, "RECHECK_EVERY", 0.02)
    file = await released(mirror, "a-due")
    other = await released(mirror, "a-fails")
    for name in ("a-due", "a-fails"):
        mirror.upstream.remove_project(name)
        await mirror.refresh(name)
    mirror.upstream.fault("a-fails", status=503)
    # A worker of which nothing is left, and another that begins with nothing in its memory.
    await cancelled(asyncio.create_task(keep_rechecking(Follower(mirror.pool, mirror.refresher, DAY))))
    rechecking = asyncio.create_task(keep_rechecking(Follower(mirror.pool, mirror.refresher, DAY)))
    try:
        for looks, minutes in ((1, 5), (2, 15), (3, 60)):
            await mirror.at(NOON + (minutes + looks) * MINUTE)
            async with asyncio.timeout(20):
                while await mirror.pool.fetchval("SELECT absence_looks FROM project WHERE name = 'a-due'") < looks:
                    await asyncio.sleep(0.02)
    finally:
        await cancelled(rechecking)
    assert (await mirror.states("a-due"))[file.filename] is BLOCKED
    assert (await mirror.states("a-fails"))[other.filename] is RELEASED
    assert mirror.upstream.count("/simple/a-fails/") <= 3


async def test_page_that_was_never_whole_is_not_absent(mirror: Mirror) -> None:
    """A project whose first look did not end, and whose page is not there now, is answered with "come back"."""
    file = await released(mirror, "a-half")
    await mirror.pool.execute("UPDATE project SET looked_at = NULL, upstream_etag = NULL")
    mirror.upstream.fault("a-half", **GONE)
    with pytest.raises(Busy, match="was read only in part, and now it is missing"):
        await mirror.refresher.find(NormalizedName("a-half"))
    assert await journalled(mirror) == []
    mirror.upstream.clear_faults()
    assert await mirror.refresher.find(NormalizedName("a-half")) is not None
    assert await mirror.served("a-half") == [file.filename]


async def test_absences_that_earlier_versions_wrote_are_confirmed(mirror: Mirror) -> None:
    """A row of a version that asked for no second look is not suspected: what that look blocked stays blocked."""
    file = mirror.upstream.add("a-before", "1.0", upload_time=NOON)
    mirror.upstream.add("a-before", "0.1", upload_time=OLD)
    await mirror.refresh("a-before")
    mirror.upstream.remove(file.filename)
    await mirror.pool.execute("UPDATE file SET absent_since = koschey_now() WHERE version = '1.0'")
    await mirror.refresh("a-before")
    assert await journalled(mirror) == []
    await mirror.settle("a-before")
    assert (await mirror.states("a-before"))[file.filename] is BLOCKED


async def test_absence_is_nothing_to_who_has_no_page(mirror: Mirror) -> None:
    """A name that was never seen is "not found" at once, and leaves no row that could be missed."""
    mirror.upstream.fault("a-never", **GONE)
    assert await mirror.refresher.find(NormalizedName("a-never")) is None
    mirror.upstream.fault("a-silent", status=503)
    with pytest.raises(UpstreamUnavailable):
        await mirror.refresher.find(NormalizedName("a-silent"))
    assert UpstreamPage(()).is_empty
    assert await mirror.pool.fetchval("SELECT count(*) FROM project") == 0
