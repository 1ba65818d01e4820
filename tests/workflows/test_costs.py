"""The cost of a release's quarantine: activities, and statements. Both are counted, so that they cannot creep back."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from temporalio.api.history.v1 import HistoryEvent

from activities.checks import register_checks
from koschey.db.settling import LOCK_PROJECT_NOW
from tests.support.activity_statements import ActivityStatements, counting
from tests.support.koschey_up import Koschey
from tests.support.time_skipping import SkippingKoschey, new_database, skipping
from tests.support.upstream.server import Upstream

DAY = timedelta(days=1)
TAGS = ("py3-none-any", "py38-none-any", "py39-none-any")
PLAN = 2
"""The work of a release, and the rules that decide which checks are required; only one if no check is due."""
CHECK = 13
"""Rules, due files, all files, records and one report for each of three files; the names that are used most; then a
transaction: the lock, the earlier evidence, the runs of all
checks.
"""
SETTLE = 9
"""A transaction: the lock, files, rules, checks, evidence, the security fixes of the project; then requests, which the
summary shows."""
RELEASE = SETTLE + 2
"""The same, one change of all states, and the journal."""


async def live(index: SkippingKoschey, upstream: Upstream, project: str) -> list[HistoryEvent]:
    """Have a release of three wheels held, checked and released; return the history of its workflow."""
    for tag in TAGS:
        filename = f"{project.replace('-', '_')}-1.0-{tag}.whl"
        upstream.add(project, "1.0", filename=filename, modules={f"{tag[:3]}.py": ""}, upload_time=datetime.now(UTC))
    await register_checks(index.resources.pool)
    await index.see(project)
    for tag in TAGS:
        await index.wait_until_stored(f"{project.replace('-', '_')}-1.0-{tag}.whl")
    await index.pass_time(8 * DAY)
    await index.workflow(project, "1.0").result()
    return list((await index.workflow(project, "1.0").fetch_history()).events)


def activities(events: list[HistoryEvent]) -> Counter[str]:
    """The activities that Temporal dispatched, by their types."""
    scheduled = [event.activity_task_scheduled_event_attributes.activity_type.name for event in events]
    return Counter(name for name in scheduled if name)


def local_activities(events: list[HistoryEvent]) -> int:
    """The number of local activities."""
    return sum(event.marker_recorded_event_attributes.marker_name == "core_local_activity" for event in events)


def lengths(statements: ActivityStatements, activity_type: str) -> list[int]:
    """The number of statements of each execution of an activity."""
    return [len(said) for said in statements.of(activity_type)]


async def test_costs_of_a_release(koschey: Koschey, upstream: Upstream) -> None:
    """Two activities of a release are dispatched: one downloads, one refreshes. The others run with the workflow."""
    database = await new_database(koschey, "costs")
    with counting() as statements:
        async with skipping(koschey, database, upstream.url) as index:
            events = await live(index, upstream, "costs-new")
    assert activities(events) == {"store_held_files": 1, "refresh_release": 1}
    assert local_activities(events) == 6
    assert statements.executions["check_release"] == 1
    assert lengths(statements, "plan_round") == [1, PLAN, 1]
    assert lengths(statements, "check_release") == [CHECK]
    assert lengths(statements, "settle_release") == [SETTLE, SETTLE]
    (refreshed,) = statements.of("refresh_release")
    settled = len(refreshed) - 1 - refreshed[::-1].index(LOCK_PROJECT_NOW)
    assert len(refreshed[settled - 1 :]) == RELEASE
