"""Extensions: what is held stays held for some days more, and no longer."""

from datetime import timedelta

import pytest

from koschey.causes import BY_TIME
from koschey.db.pool import Connection
from koschey.errors import UsageError
from koschey.model import Standing
from koschey.quarantine.decide import Choice, Decision, DecisionOutcome, decide
from koschey.quarantine.decision import LONGEST
from koschey.quarantine.settle import settle
from tests.support.decisions import (
    CLI,
    DAY,
    HELD,
    LATER,
    RELEASED,
    SDIST,
    SPAM,
    WHEEL,
    choose,
    decisions,
    journal,
    messages,
    release,
    written,
)
from tests.support.postgres import set_clock
from tests.support.rows import NOON, add_project, digest_of, new_file, select_files, select_states


async def extend(connection: Connection, days: float | None, version: str | None = "1.0") -> DecisionOutcome:
    return await decide(connection, CLI, Decision(Choice.EXTEND, SPAM, version, "somebody reads it", days=days))


async def windows(connection: Connection) -> dict[str, tuple[object, object]]:
    found = await select_files(connection, SPAM)
    return {name: (item.standing.release_at, item.standing.held_until) for name, item in found.items()}


async def test_extend(connection: Connection) -> None:
    """What is held of the release stays held until the later of its window's end and the extension's."""
    await set_clock(connection, NOON)
    new = [new_file(WHEEL, release_at=NOON + DAY), new_file(SDIST, release_at=NOON + 30 * DAY), new_file(LATER)]
    await add_project(connection, "spam", new)
    outcome = await extend(connection, 10)
    assert (outcome.filenames, str(outcome)) == ((WHEEL, SDIST), "serial 2, 2 files held longer")
    until = NOON + 10 * DAY
    assert await windows(connection) == {
        WHEEL: (until, until),
        SDIST: (NOON + 30 * DAY, until),
        LATER: (None, None),
    }
    held = (await select_files(connection, SPAM))[WHEEL].standing
    assert held.reason == "extended by ada until 2026-12-02 12:00 UTC: somebody reads it"
    assert {entry[2] for entry in await journal(connection)} == {"extend"}
    assert [row[0] for row in await decisions(connection)] == ["extend", "extend"]
    assert await messages(connection) == ["release_held/spam/1.0"]


async def test_an_extension_holds_against_time(connection: Connection) -> None:
    """Settling under any window lets nothing out before the extension ends."""
    await set_clock(connection, NOON)
    standing = Standing(HELD, BY_TIME, "new", NOON + DAY, None, counts_from=NOON)
    await add_project(connection, "spam", [new_file(WHEEL, standing=standing)], looked_at=NOON + 90 * DAY)
    await extend(connection, 10)
    for moment in (NOON + 2 * DAY, NOON + 10 * DAY - timedelta(seconds=1)):
        await set_clock(connection, moment)
        await settle(connection, SPAM, "1.0", timedelta())
        assert (await select_states(connection, SPAM))[WHEEL] is HELD
    await set_clock(connection, NOON + 10 * DAY)
    await settle(connection, SPAM, "1.0", timedelta())
    assert (await select_states(connection, SPAM))[WHEEL] is RELEASED


async def test_an_extension_never_shortens(connection: Connection) -> None:
    """A second extension is either later, or changes nothing."""
    await set_clock(connection, NOON)
    await release(connection, release_at=NOON + DAY)
    await extend(connection, 10)
    before = await written(connection)
    for days in (10, 3, 0.5):
        assert str(await extend(connection, days)) == "nothing to change"
    assert await written(connection) == before
    assert (await extend(connection, 11)).filenames == (WHEEL, SDIST)
    assert (await windows(connection))[WHEEL] == (NOON + 11 * DAY, NOON + 11 * DAY)


async def test_what_a_person_lets_out_is_not_let_out_by_time(connection: Connection) -> None:
    """Where time releases nothing, an extension gives it no end."""
    await set_clock(connection, NOON)
    await release(connection)
    await extend(connection, 5)
    assert (await windows(connection))[WHEEL] == (None, NOON + 5 * DAY)


@pytest.mark.parametrize("days", [None, 0, -3, 3651, float("nan"), float("inf")])
async def test_extensions_that_make_no_sense(connection: Connection, days: float | None) -> None:
    """An extension is for some days, and for a release."""
    await release(connection)
    before = await written(connection)
    with pytest.raises(UsageError, match="give the number of days: more than 0"):
        await extend(connection, days)
    for version, message in ((None, "for one release"), ("9.9", "not known here")):
        with pytest.raises(UsageError, match=message):
            await extend(connection, 3, version)
    assert await written(connection) == before


async def test_trust_is_not_extended(connection: Connection) -> None:
    """Trust lets out whatever time says, so that an extension under it would be an empty promise."""
    await release(connection)
    await choose(connection, Choice.TRUST, None)
    await connection.execute("UPDATE standing SET state = 'blocked'")
    await connection.execute("UPDATE standing SET state = 'held'")
    with pytest.raises(UsageError, match="untrust the project first"):
        await extend(connection, 3)


@pytest.mark.parametrize("choice", [choice for choice in Choice if choice not in LONGEST])
async def test_what_is_for_good(connection: Connection, choice: Choice) -> None:
    """A decision that does not end takes no days, and one about a release no file."""
    await release(connection)
    for given in ({"days": 3.0}, {"filename": WHEEL, "sha256": digest_of(WHEEL)}):
        with pytest.raises(
            UsageError, match=r"is permanent; omit the number of days|only an exception applies to one file"
        ):
            await decide(connection, CLI, Decision(choice, SPAM, "1.0", "why", **given))
