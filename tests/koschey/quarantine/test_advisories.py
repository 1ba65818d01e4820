"""Advisories: how they are read, what they block, what they only note, and which fixes wait."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import NormalizedName
from temporalio.testing import ActivityEnvironment, WorkflowEnvironment
from temporalio.worker import Worker

from activities.advisories import AdvisoryActivities, FeedReport
from koschey.causes import by_advisory
from koschey.db.advisories import select_advisories, select_feed
from koschey.db.fast_lane import FastLane, find_fixes
from koschey.db.files import insert_files
from koschey.db.pool import Pool
from koschey.db.projects import insert_project, select_project
from koschey.model import Origin, State
from koschey.policy.advisories import Feed, feed_fault
from koschey.policy.rules import RuleKind
from koschey.quarantine.advisories import act_on_advisories, write_reading
from koschey.quarantine.decide import Choice
from koschey.quarantine.waiting_releases import Quarantine
from koschey.settings.private_hosts import NO_HOSTS
from koschey.standards.osv import parse_record
from koschey.upstream.advisories import AdvisoryFeed
from koschey.upstream.egress import Egress
from tests.support.advisories import GOOD, archive, parse, record
from tests.support.bound_processes import bound_program
from tests.support.histories import check_history
from tests.support.mirror import DAY, Mirror, mirroring
from tests.support.pending import read_part
from tests.support.rows import NOON, WEEK, new_file
from tests.support.temporal_cli import program
from tests.support.upstream.server import Upstream
from tests.support.waiting import eventually
from workflows.follow_advisories import FollowAdvisories, FollowAdvisoriesInput
from workflows.names import ADVISORIES_ID, TASK_QUEUE

OLD = NOON - 400 * DAY
BLOCKED, HELD, RELEASED = State.BLOCKED, State.HELD, State.RELEASED
FEED = Feed(timedelta(hours=48))
FIXED, SOONER = NormalizedName("a-fixed"), NormalizedName("a-sooner")


def test_feed_counts_while_it_is_fresh() -> None:
    """Never read, or too long ago, is a fault; the very edge is not."""
    assert feed_fault(FEED, NOON - timedelta(hours=48), NOON) is None
    for read_at in (None, NOON - timedelta(hours=48, seconds=1)):
        fault = feed_fault(FEED, read_at, NOON)
        assert fault is not None
        assert fault.check == "advisories"


@pytest.fixture
async def mirror(pool: Pool, upstream: Upstream) -> AsyncIterator[Mirror]:
    """A mirror that follows a feed."""
    async with mirroring(pool, upstream, FEED) as running:
        yield running


async def say(mirror: Mirror, *records: dict[str, Any]) -> None:
    """Have the feed read while it holds these records, and acted upon."""
    found = [advisory for each in records for advisory in parse_record(json.dumps(each).encode())]
    async with mirror.pool.acquire() as connection:
        await write_reading(connection, found, None, FEED)
        await act_on_advisories(connection)


async def unblock(mirror: Mirror, name: str) -> None:
    """Have two people lift a block, as for all that was reported as malicious."""
    for person in ("ada", "bob"):
        await mirror.decide(Choice.UNBLOCK, name, person=person)


OTHER = record("PYSEC-0", "another-project", versions=["1.0"])


async def test_malware_is_blocked_wherever_it_is(mirror: Mirror) -> None:
    """A report blocks held and released files of its versions at once and no others; people are told of each."""
    released = mirror.upstream.add("a-mal", "1.0", upload_time=OLD)
    fine = mirror.upstream.add("a-mal", "1.1", upload_time=OLD)
    held = mirror.upstream.add("a-mal", "2.0", upload_time=NOON)
    await mirror.refresh("a-mal")
    await say(mirror, OTHER, record("MAL-1", "A_Mal", versions=["1.0", "2.0"]))
    assert await mirror.states("a-mal") == {released.filename: BLOCKED, fine.filename: RELEASED, held.filename: BLOCKED}
    assert (await mirror.files("a-mal"))[held.filename].standing.reason == "MAL-1: about A_Mal"
    assert await mirror.served("a-mal") == [fine.filename]
    [alert] = await mirror.alerts("recall")
    assert (alert["version"], alert["detail"]["versions"], alert["detail"]["files"]) == (None, ["1.0", "2.0"], 2)
    assert set(alert["detail"]["first"]) == {released.filename, held.filename}
    assert "blocked" in await mirror.actions(released.filename)
    later = mirror.upstream.add("a-mal", "2.0", sdist=True, upload_time=OLD)
    assert (await mirror.refresh("a-mal"))[later.filename].standing.state is BLOCKED


async def test_malware_is_blocked_at_first_sight(mirror: Mirror) -> None:
    """Of a project that was never seen, reported versions start blocked, old and trusted ones too."""
    await say(mirror, record("MAL-1", "a-first", {"introduced": "1"}, {"fixed": "2"}))
    await mirror.rule(RuleKind.TRUSTED, scope="a-first")
    bad = mirror.upstream.add("a-first", "1.0", upload_time=OLD)
    good = mirror.upstream.add("a-first", "2.0", upload_time=OLD)
    await mirror.refresh("a-first")
    assert await mirror.states("a-first") == {bad.filename: BLOCKED, good.filename: RELEASED}


async def test_what_was_blocked_as_malware_before_it_was_served_needs_two_as_well(mirror: Mirror) -> None:
    """Whether a report blocked a file as it came in or when it was settled: one person alone does not lift that."""
    late = mirror.upstream.add("a-alone", "2.0", upload_time=NOON)
    await mirror.refresh("a-alone")
    found = parse_record(json.dumps(record("MAL-1", "a-alone", versions=["1.0", "2.0"])).encode())
    async with mirror.pool.acquire() as connection:
        await write_reading(connection, found, None, FEED)
    await mirror.settle("a-alone", "2.0")
    first = mirror.upstream.add("a-alone", "1.0", upload_time=OLD)
    await mirror.refresh("a-alone")
    assert await mirror.states("a-alone") == {late.filename: BLOCKED, first.filename: BLOCKED}
    for version, file in (("1.0", first), ("2.0", late)):
        await mirror.decide(Choice.UNBLOCK, "a-alone", version)
        assert (await mirror.states("a-alone"))[file.filename] is BLOCKED
        await mirror.decide(Choice.UNBLOCK, "a-alone", version, person="bob")
        assert (await mirror.states("a-alone"))[file.filename] is HELD


async def test_report_is_not_repeated_against_people(mirror: Mirror) -> None:
    """What people let out again is blocked anew only when the advisory itself changes."""
    file = mirror.upstream.add("a-alarm", "1.0", upload_time=OLD)
    await mirror.refresh("a-alarm")
    alarm = record("MAL-1", "a-alarm", versions=["1.0"])
    await say(mirror, alarm)
    await unblock(mirror, "a-alarm")
    await mirror.decide(Choice.APPROVE, "a-alarm")
    await say(mirror, alarm | {"summary": "said in other words"})
    assert await mirror.states("a-alarm") == {file.filename: RELEASED}
    await say(mirror, record("MAL-1", "a-alarm", versions=["1.0", "1.1"]))
    assert await mirror.states("a-alarm") == {file.filename: BLOCKED}


@pytest.mark.parametrize(("name", "gone"), [("a-marked", False), ("a-left-out", True)])
async def test_withdrawn_report_leaves_people_to_reverse_it(mirror: Mirror, name: str, gone: bool) -> None:
    """A report that is withdrawn, or is in the feed no more, is told of; what it blocked stays so until unblocked."""
    file = mirror.upstream.add(name, "1.0", upload_time=OLD)
    await mirror.refresh(name)
    await say(mirror, OTHER, record("MAL-1", name, versions=["1.0"]))
    withdrawn = [OTHER] if gone else [OTHER, record("MAL-1", name, versions=["1.0"], withdrawn="2026-11-01T00:00:00Z")]
    await say(mirror, *withdrawn)
    await say(mirror, *withdrawn)
    assert await mirror.states(name) == {file.filename: BLOCKED}
    [alert] = await mirror.alerts("advisory withdrawn")
    assert (alert["version"], alert["detail"]["files"], alert["detail"]["first"]) == ("1.0", 1, [file.filename])
    await unblock(mirror, name)
    await mirror.settle(name)
    assert await mirror.states(name) == {file.filename: HELD}


async def test_hosted_project_of_the_same_name_is_not_meant(mirror: Mirror) -> None:
    """Advisories are about what the public index has under a name, and not about what is uploaded here."""
    name, new = NormalizedName("ahosted"), new_file("ahosted-1.0-py3-none-any.whl", RELEASED)
    async with mirror.pool.acquire() as connection:
        await insert_project(connection, name, name, Origin.HOSTED)
        project = await select_project(connection, name)
        assert project is not None
        await insert_files(connection, project.id, [new._replace(upstream_url=None)])
    await say(mirror, record("MAL-1", "ahosted", versions=["1.0"]))
    assert await mirror.states("ahosted") == {new.filename: RELEASED}
    assert await mirror.alerts("recall") == []


@pytest.mark.parametrize("subject", ["advisories", "advisories/malicious"])
async def test_policy_may_do_without_reports(mirror: Mirror, subject: str) -> None:
    """A rule that switches the check off keeps reports from blocking; with the whole check off no feed is needed."""
    name = f"a-off-{len(subject)}"
    await mirror.rule(RuleKind.CHECK, "off", subject=subject)
    released = mirror.upstream.add(name, "1.0", upload_time=OLD)
    held = mirror.upstream.add(name, "2.0", upload_time=NOON)
    await mirror.refresh(name)
    await mirror.store(name)
    await say(mirror, record("MAL-1", name, versions=["1.0", "2.0"]))
    await mirror.wait(WEEK)
    await mirror.settle(name, "2.0")
    # The feed was read a week ago.
    expected = RELEASED if subject == "advisories" else HELD
    assert await mirror.states(name) == {released.filename: RELEASED, held.filename: expected}


async def test_feed_that_is_not_read_holds(mirror: Mirror) -> None:
    """Never read or read too long ago: what time or trust would let out stays held, and goes on once it is read."""
    file = mirror.upstream.add("a-stale", "1.0", upload_time=NOON)
    await mirror.rule(RuleKind.TRUSTED, scope="a-trusting")
    trusted = mirror.upstream.add("a-trusting", "1.0", upload_time=NOON)
    await mirror.refresh("a-stale")
    assert (await mirror.refresh("a-trusting"))[trusted.filename].standing.state is HELD
    await mirror.store("a-stale")
    await mirror.wait(WEEK)
    settlement = await mirror.settle("a-stale")
    assert (settlement.state, settlement.recheck_in) == (HELD, None)
    assert settlement.reasons == ("the check advisories could not be completed: the feed was never read",)
    await mirror.pool.execute("DELETE FROM outbox")
    await say(mirror, OTHER)
    assert {"release_held/a-stale/1.0", "release_held/a-trusting/1.0"} <= await mirror.wanted()
    await mirror.wait(timedelta(hours=49))
    assert "last read" in (await mirror.settle("a-stale")).reasons[0]
    await say(mirror, OTHER)
    assert (await mirror.settle("a-stale")).state is RELEASED
    assert (await mirror.settle("a-trusting")).state is RELEASED
    assert await mirror.states("a-stale") == {file.filename: RELEASED}


async def test_without_a_feed_nothing_is_required(pool: Pool, upstream: Upstream) -> None:
    """Where the settings name no feed, time releases as ever."""
    async with mirroring(pool, upstream) as mirror:
        file = upstream.add("a-none", "1.0", upload_time=NOON)
        await mirror.refresh("a-none")
        await mirror.store("a-none")
        await mirror.wait(WEEK)
        await mirror.settle("a-none")
        assert await mirror.states("a-none") == {file.filename: RELEASED}


async def test_second_look_sees_what_was_reported(mirror: Mirror) -> None:
    """A held file that an advisory calls malware is blocked when its release is settled, also after an unblock."""
    file = mirror.upstream.add("a-second", "1.0", upload_time=NOON)
    await mirror.refresh("a-second")
    await say(mirror, record("MAL-1", "a-second", versions=["1.0"]))
    await unblock(mirror, "a-second")
    await mirror.settle("a-second")
    known = (await mirror.files("a-second"))[file.filename]
    assert (known.standing.state, known.standing.reason) == (BLOCKED, "advisories: MAL-1: about a-second")
    assert known.standing.cause == by_advisory("MAL-1")
    # So the alert about the withdrawn report names it too.
    await say(mirror, OTHER)
    [alert] = await mirror.alerts("advisory withdrawn")
    assert alert["detail"]["first"] == [file.filename]


async def test_vulnerability_is_a_note(mirror: Mirror) -> None:
    """A vulnerability blocks nothing by itself; policy may have a person look, or block."""
    for number, (action, expected) in enumerate([(None, RELEASED), ("hold", HELD), ("block", BLOCKED)]):
        name = f"a-weak-{number}"
        if action:
            await mirror.rule(RuleKind.CHECK, action, scope=name, subject="advisories/vulnerable")
        file = mirror.upstream.add(name, "1.0", upload_time=mirror.now)
        await mirror.refresh(name)
        await mirror.store(name)
        await mirror.wait(WEEK)
        await say(mirror, record("PYSEC-1", name, versions=["1.0"]))
        await mirror.settle(name)
        assert await mirror.states(name) == {file.filename: expected}


async def test_reading_is_all_or_nothing(mirror: Mirror) -> None:
    """What a reading wrote is whole; what it brought before and holds no more is withdrawn, and may come back."""
    await say(mirror, record("PYSEC-1", "a-sync", versions=["1"]), record("PYSEC-2", "a-sync", {"introduced": "0"}))
    name = NormalizedName("a-sync")
    assert [each.id for each in await select_advisories(mirror.pool, name)] == ["PYSEC-1", "PYSEC-2"]
    await say(mirror, record("PYSEC-1", "a-sync", versions=["1", "2"]))
    [left] = await select_advisories(mirror.pool, name)
    assert left.versions == ("1", "2")
    await say(mirror, record("PYSEC-2", "a-sync", {"introduced": "0"}))
    assert [each.id for each in await select_advisories(mirror.pool, name)] == ["PYSEC-2"]
    assert (await select_feed(mirror.pool)).advisories == 1
    bad = parse("PYSEC-3", "a-sync", versions=["1"])
    with pytest.raises(Exception, match="null"):
        async with mirror.pool.acquire() as connection:
            await write_reading(connection, [replace(bad, summary=None)], None, FEED)  # type: ignore[arg-type]
    assert [each.id for each in await select_advisories(mirror.pool, name)] == ["PYSEC-2"]


async def take(mirror: Mirror, filename: str, times: int) -> None:
    """Note downloads of a file."""
    query = "INSERT INTO download (index_id, file_id) SELECT index.id, file.id FROM index, file WHERE filename = $1"
    for _ in range(times):
        await mirror.pool.execute(query, filename)


async def test_security_fix_comes_first(mirror: Mirror) -> None:
    """A held version that fixes what was taken here is at the top of what waits, with that fact, and told of once."""
    old = mirror.upstream.add("a-fixed", "1.0", upload_time=OLD)
    mirror.upstream.add("a-fixed", "1.1", upload_time=NOON)
    mirror.upstream.add("a-fixed", "0.9.1", upload_time=NOON)
    sooner = mirror.upstream.add("a-sooner", "1.0", upload_time=NOON - DAY)
    for name in ("a-fixed", "a-sooner"):
        await mirror.refresh(name)
    advisory = record("PYSEC-7", "a-fixed", {"introduced": "0"}, {"fixed": "1.1"})
    await say(mirror, advisory)
    assert await find_fixes(mirror.pool, [FIXED, SOONER]) == []
    await take(mirror, old.filename, 3)
    await say(mirror, advisory)
    await say(mirror, advisory)
    fix = FastLane(FIXED, "1.1", "PYSEC-7", "about a-fixed", ("1.0",), 3)
    assert await find_fixes(mirror.pool, [FIXED, SOONER]) == [fix]
    [alert] = await mirror.alerts("security fix waits")
    assert (alert["project"], alert["version"], alert["detail"]["advisory"]) == ("a-fixed", "1.1", "PYSEC-7")
    waiting, total = await read_part(mirror.pool, limit=1)
    assert total == 3
    assert [(each.project, each.version) for each in waiting] == [("a-fixed", "1.1")]
    rest, _ = await read_part(mirror.pool, offset=1)
    assert [(each.project, each.version) for each in rest] == [("a-sooner", "1.0"), ("a-fixed", "0.9.1")]
    page = await Quarantine(mirror.pool).read(None, limit=9, offset=0)
    assert [(each.project, each.version, each.fixes) for each in page.releases] == [
        ("a-fixed", "1.1", "fixes PYSEC-7 in 1.0, downloaded here 3 times"),
        ("a-sooner", "1.0", None),
        ("a-fixed", "0.9.1", None),
    ]
    assert (page.total, page.at_least) == (3, False)
    assert sooner.filename in await mirror.files("a-sooner")


async def fixes_shown(mirror: Mirror) -> dict[str, str | None]:
    """What the pending releases of `b-fixed` fix, by version, in the order of the list."""
    found, _ = await read_part(mirror.pool, "b-fixed")
    return {each.version: each.fixes for each in found}


async def test_security_fix_is_found_when_its_release_is_settled(mirror: Mirror) -> None:
    """A fix that is held after the feed was read comes first once it is settled, and until it is held no more."""
    old = mirror.upstream.add("b-fixed", "1.0", upload_time=OLD)
    await mirror.refresh("b-fixed")
    await take(mirror, old.filename, 1)
    await say(mirror, record("PYSEC-8", "b-fixed", {"introduced": "0"}, {"fixed": "1.1"}))
    mirror.upstream.add("b-fixed", "1.1", upload_time=NOON)
    mirror.upstream.add("b-fixed", "1.2", upload_time=NOON)
    await mirror.refresh("b-fixed")
    assert await fixes_shown(mirror) == {"1.1": None, "1.2": None}
    await mirror.settle("b-fixed", "1.2")
    said = "fixes PYSEC-8 in 1.0, downloaded here once"
    assert await fixes_shown(mirror) == {"1.1": said, "1.2": said}
    skipped, _ = await read_part(mirror.pool, "b-fixed", offset=2)
    assert skipped == []
    await say(mirror, record("PYSEC-8", "b-fixed", {"introduced": "0"}, {"fixed": "1.2"}))
    assert await fixes_shown(mirror) == {"1.2": said, "1.1": None}
    first, _ = await read_part(mirror.pool, "b-fixed", limit=1)
    second, _ = await read_part(mirror.pool, "b-fixed", limit=1, offset=1)
    assert [each.version for each in (*first, *second)] == ["1.2", "1.1"]
    await say(mirror)
    assert await fixes_shown(mirror) == {"1.1": None, "1.2": None}


async def followed(mirror: Mirror, source: str, *, allow_private: bool = True) -> FeedReport:
    """Run the activity that follows a feed."""
    egress = Egress(NO_HOSTS.with_urls([mirror.upstream.url]) if allow_private else NO_HOSTS)
    try:
        activities = AdvisoryActivities(mirror.pool, AdvisoryFeed(egress, source, None), FEED)
        report: FeedReport = await ActivityEnvironment().run(activities.follow_advisories)
        return report
    finally:
        await egress.close()


async def test_feed_is_fetched_only_when_it_has_changed(mirror: Mirror) -> None:
    """The feed is read from a URL by its ETag; a reading that confirms it counts as one."""
    address = f"{mirror.upstream.root}/files/all.zip"
    headers = {"ETag": '"one"', "Content-Type": "application/zip"}
    served = mirror.upstream.fault("/files/all.zip", status=200, body=archive(GOOD), headers=headers, times=1)
    report = await followed(mirror, address)
    assert (report.fault, report.advisories) == (None, 2)
    assert served.applied == 1
    await mirror.wait(timedelta(hours=40))
    mirror.upstream.fault("/files/all.zip", status=304, body=b"")
    assert (await followed(mirror, address)).fault is None
    assert mirror.upstream.about("all.zip")[-1].headers["If-None-Match"] == '"one"'
    assert (await select_feed(mirror.pool)).read_at == mirror.now


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 503}, "503"),
        ({"status": 404}, "404"),
        ({"body": b"<html>please log in</html>", "status": 200}, "cannot be read"),
        ({"body": archive(GOOD), "status": 200, "truncate_at": 100}, "could not be read"),
    ],
)
async def test_feed_that_cannot_be_read_is_noted(mirror: Mirror, fault: dict[str, Any], words: str) -> None:
    """What a feed said before goes on counting while it cannot be read; why not stands beside it."""
    await say(mirror, OTHER)
    read_at = mirror.now
    await mirror.wait(timedelta(hours=1))
    mirror.upstream.fault("/files/bad.zip", **fault)
    report = await followed(mirror, f"{mirror.upstream.root}/files/bad.zip")
    assert report.fault is not None
    state = await select_feed(mirror.pool)
    assert state.fault == report.fault
    assert words in report.fault
    assert (state.read_at, state.advisories) == (read_at, 1)


async def test_feed_is_fetched_under_the_rules_for_addresses(mirror: Mirror) -> None:
    """A feed inside the network, or without https, needs the setting that allows such upstreams."""
    for address in (f"{mirror.upstream.root}/files/all.zip", "https://10.0.0.1/all.zip"):
        report = await followed(mirror, address, allow_private=False)
        assert report.fault is not None
    assert (await select_feed(mirror.pool)).read_at is None


async def test_workflow_reads_every_hour_and_replays(pool: Pool, tmp_path: Path, record_histories: Path | None) -> None:
    """`FollowAdvisories` reads the feed every hour, on a signal, and sooner after a fault; its history replays."""
    feed, egress = tmp_path / "feed.json", Egress()
    feed.write_text(json.dumps(GOOD))
    activities = AdvisoryActivities(pool, AdvisoryFeed(egress, str(feed), None), FEED)
    path = bound_program(program("temporal-test-server"))
    server = await WorkflowEnvironment.start_time_skipping(test_server_existing_path=path)
    worker = Worker(
        server.client,
        task_queue=TASK_QUEUE,
        workflows=[FollowAdvisories],
        activities=[activities.follow_advisories],
    )
    async with server, worker:
        handle = await server.client.start_workflow(
            FollowAdvisories.run, FollowAdvisoriesInput(), id=ADVISORIES_ID, task_queue=TASK_QUEUE
        )

        async def reports(expected: Callable[[FeedReport], bool]) -> bool:
            return expected(await handle.query(FollowAdvisories.last))

        await eventually(lambda: reports(lambda report: report.advisories == 2))
        feed.write_text(json.dumps(GOOD[:1]))
        await server.sleep(timedelta(minutes=61))
        await eventually(lambda: reports(lambda report: report.advisories == 1))
        feed.write_text("no JSON")
        await handle.signal(FollowAdvisories.look_again)
        await eventually(lambda: reports(lambda report: "cannot be read" in (report.fault or "")))
        feed.write_text(json.dumps(GOOD))
        await server.sleep(timedelta(minutes=11))
        await eventually(lambda: reports(lambda report: report.advisories == 2 and report.fault is None))
        await check_history(await handle.fetch_history(), record_histories, "follow_advisories")
    await egress.close()


async def test_activity_without_a_feed_says_so(pool: Pool) -> None:
    """Where the settings name no feed the activity says so, and the workflow ends."""
    report = await ActivityEnvironment().run(AdvisoryActivities(pool, None, None).follow_advisories)
    assert report == FeedReport(configured=False)
