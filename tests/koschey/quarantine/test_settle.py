"""What time settles, on a real database: windows that end, and what an upstream withdrew meanwhile."""

from datetime import timedelta
from typing import Any

import pytest
from packaging.utils import NormalizedName

from koschey.db.pool import Connection
from koschey.model import ProjectStatus
from koschey.quarantine.decide import Choice
from koschey.quarantine.settle import SOONEST, note_failure, settle
from tests.support.decisions import (
    BLOCKED,
    DAY,
    HELD,
    RELEASED,
    SDIST,
    SPAM,
    WHEEL,
    choose,
    journal,
    release,
    waiting,
    written,
)
from tests.support.rows import NOON, WEEK, select_files, select_states


async def test_time_releases(connection: Connection) -> None:
    """A window that ended releases, in the name of the system, once however often it is asked."""
    await waiting(connection)
    first = await settle(connection, SPAM, "1.0", WEEK)
    assert (first.held, first.state, first.recheck_in, first.needs_refresh) == ((), RELEASED, None, False)
    assert first.reasons == ("the quarantine window ended",)
    after = await written(connection)
    assert after.states == {WHEEL: RELEASED, SDIST: RELEASED}
    assert await journal(connection) == [
        ("system", "system", "released", "1.0", WHEEL),
        ("system", "system", "released", "1.0", SDIST),
    ]
    files = await select_files(connection, SPAM)
    assert files[WHEEL].standing.available_at == NOON + DAY
    assert (files[WHEEL].standing.release_at, files[WHEEL].standing.reason) == (NOON, "the quarantine window ended")
    for _ in range(2):
        assert (await settle(connection, SPAM, "1.0", WEEK)).state is RELEASED
    assert await written(connection) == after


@pytest.mark.parametrize(
    ("changes", "recheck_in", "needs_refresh"),
    [
        ({"release_at": NOON + 3 * DAY}, 2 * DAY, False),
        ({"release_at": NOON + DAY + timedelta(seconds=1)}, SOONEST, False),
        ({"release_at": None}, None, False),
        ({"looked_at": NOON - DAY}, SOONEST, True),
        ({"sha256": None}, SOONEST, False),
    ],
)
async def test_what_waits_says_until_when(
    connection: Connection, changes: dict[str, Any], recheck_in: timedelta | None, *, needs_refresh: bool
) -> None:
    """What may not be released yet stays held, nothing is written, and the next look is not before it is worth it."""
    await waiting(connection, **changes)
    before = await written(connection)
    found = await settle(connection, SPAM, "1.0", WEEK)
    assert (found.recheck_in, found.needs_refresh, found.state) == (recheck_in, needs_refresh, HELD)
    assert [file.filename for file in found.held] == [WHEEL, SDIST]
    assert found.release_at == changes.get("release_at", NOON)
    assert await written(connection) == before


async def test_what_was_taken_back_is_blocked(connection: Connection) -> None:
    """A file that the upstream yanked while it was held is blocked, and its neighbour released."""
    await waiting(connection)
    await connection.execute("UPDATE file SET yanked = 'broken' WHERE filename = $1", WHEEL)
    found = await settle(connection, SPAM, "1.0", WEEK)
    assert found.state is BLOCKED
    assert await select_states(connection, SPAM) == {WHEEL: BLOCKED, SDIST: RELEASED}
    assert sorted(entry[2:] for entry in await journal(connection)) == [
        ("blocked", "1.0", WHEEL),
        ("released", "1.0", SDIST),
    ]


async def test_a_quarantined_project_is_blocked(connection: Connection) -> None:
    """When the upstream quarantines a project, what was released goes too."""
    await waiting(connection)
    await settle(connection, SPAM, "1.0", WEEK)
    await connection.execute("UPDATE project SET status = $1, status_reason = 'malware'", ProjectStatus.QUARANTINED)
    found = await settle(connection, SPAM, "1.0", WEEK)
    assert (found.state, found.reasons) == (BLOCKED, ("the upstream quarantined the project: malware",))
    assert set((await select_states(connection, SPAM)).values()) == {BLOCKED}


async def test_only_the_release_is_settled(connection: Connection) -> None:
    """Other releases of the project, and projects that nobody knows, are left alone."""
    await waiting(connection)
    before = await written(connection)
    assert (await settle(connection, SPAM, "2.0", WEEK)).held == ()
    assert (await settle(connection, NormalizedName("eggs"), "1.0", WEEK)).held == ()
    assert await written(connection) == before


async def test_a_failed_fetch_is_noted_once(connection: Connection) -> None:
    """Why a held file could not be fetched stands beside it; saying it again, or of a released one, changes nothing."""
    await release(connection)
    item = (await select_files(connection, SPAM))[WHEEL]
    for _ in range(2):
        await note_failure(connection, item, "the upstream is down")
    files = await select_files(connection, SPAM)
    assert files[WHEEL].standing.reason == "the upstream is down"
    assert files[SDIST].standing.reason != "the upstream is down"
    assert await journal(connection) == [("system", "system", "fetch failed", "1.0", WHEEL)]
    await choose(connection, Choice.APPROVE)
    before = await written(connection)
    await note_failure(connection, item, "still down")
    assert await written(connection) == before
