"""Codes of reviewers: what one proves, for how long, how often, and to whom."""

import asyncio
from datetime import timedelta

import pytest
from packaging.utils import NormalizedName

from koschey.auth.codes import new_code
from koschey.db.accounts import insert_grant, upsert_account
from koschey.db.advisories import replace_advisories
from koschey.db.files import insert_files, select_project_files
from koschey.db.findings import CheckRun, write_runs
from koschey.db.journal import select_serial
from koschey.db.pool import Connection, Pool
from koschey.db.projects import select_project
from koschey.db.rules import upsert_rule
from koschey.errors import NotAllowed, NotKnown, UsageError
from koschey.model import Actor, Advisory, State
from koschey.policy.advisories import Feed
from koschey.policy.findings import Finding, Severity
from koschey.policy.rules import RuleKind
from koschey.quarantine.decide import Choice
from koschey.quarantine.reviewer_codes import KEPT, LIFETIME, MOST_OPEN, issue_code
from tests.support.postgres import set_clock
from tests.support.reviewer_codes import EGGS, LATER, OPERATOR, RELEASE, RITA, SDIST, SPAM, WHEEL, code_for, use
from tests.support.rows import NOON, add_project, digest_of, new_file, select_states

SECOND = timedelta(seconds=1)
HELD, RELEASED, BLOCKED = State.HELD, State.RELEASED, State.BLOCKED


async def states(db: Connection, project: NormalizedName = SPAM) -> set[State]:
    return set((await select_states(db, project)).values())


# What it proves


@pytest.mark.parametrize(
    ("choice", "days", "after"),
    [(Choice.APPROVE, None, {RELEASED, HELD}), (Choice.BLOCK, None, {BLOCKED, HELD}), (Choice.EXTEND, 3.0, {HELD})],
)
async def test_a_code_decides_in_its_reviewers_name(
    spam: Connection, choice: Choice, days: float | None, after: set[State]
) -> None:
    """The journal names reviewer and door; nothing but the release that was shown is decided."""
    issued = await code_for(spam, choice, days=days)
    answer = await use(spam, issued.code, choice, days=days)
    assert answer.startswith("serial ")
    assert await states(spam) == after
    rows = await spam.fetch("SELECT DISTINCT actor, door, action, version, reason FROM decision")
    assert [tuple(row) for row in rows] == [("rita", "code", choice, "1.0", "seen in Temporal")]


async def test_only_the_digest_is_stored(spam: Connection) -> None:
    """Nobody who reads the tables can decide with what they hold."""
    issued = await code_for(spam)
    rows = await spam.fetch(
        "SELECT reviewer_code::text || reviewer_code_release::text AS row "
        "FROM reviewer_code JOIN reviewer_code_release USING (digest)"
    )
    assert len(rows) == 1
    assert issued.code not in rows[0]["row"]
    assert issued.code.replace("-", "") not in rows[0]["row"]


async def test_a_code_proves_one_decision_and_no_other(spam: Connection) -> None:
    """Another reviewer, choice, number of days or release, and a code that was never shown, change nothing."""
    extend = await code_for(spam, Choice.EXTEND, days=3)
    approve = await code_for(spam)
    serial = await select_serial(spam)
    for answer in [
        await use(spam, approve.code, reviewer="sven"),
        await use(spam, approve.code, reviewer="RITA"),
        await use(spam, approve.code, Choice.BLOCK),
        await use(spam, approve.code, release=(SPAM, "2.0")),
        await use(spam, approve.code, release=(EGGS, "1.0")),
        await use(spam, extend.code, Choice.EXTEND, days=30),
        await use(spam, new_code()),
        await use(spam, ""),
        await use(spam, "a" * 10_000),
    ]:
        assert answer.startswith("refused: ")
        assert "koschey code approve|reject|extend 'spam==" in answer or "'eggs==" in answer
        assert "POST /api/v1/codes" in answer
    assert await select_serial(spam) == serial
    # And all that voids none of the codes.
    assert (await use(spam, extend.code, Choice.EXTEND, days=3)).startswith("serial ")
    assert (await use(spam, approve.code)).startswith("serial ")


async def test_a_code_is_used_once(pool: Pool, spam: Connection) -> None:
    """However often it comes, also at once, it decides once; later ones are told what came of the first."""
    issued = await code_for(spam)

    async def once() -> str:
        async with pool.acquire() as connection:
            return await use(connection, issued.code)

    answers = await asyncio.gather(*(once() for _ in range(10)))
    [first] = [answer for answer in answers if answer.startswith("serial ")]
    assert answers.count(f"the code was used before, and then: {first}") == 9
    assert await spam.fetchval("SELECT count(DISTINCT serial) FROM decision") == 1
    await spam.execute("UPDATE standing SET state = 'blocked' WHERE state = 'released'")
    await spam.execute("UPDATE standing SET state = 'held' WHERE state = 'blocked'")
    assert "was used before" in await use(spam, issued.code)
    assert await states(spam) == {HELD}


async def test_a_batch_code_decides_about_each_of_its_releases_once(spam: Connection) -> None:
    """It covers the releases that it was shown with, and no release more."""
    issued = await code_for(spam, Choice.APPROVE, RELEASE, (EGGS, "1.0"))
    assert (await use(spam, issued.code, release=(SPAM, "2.0"))).startswith("refused: ")
    for release in (RELEASE, (EGGS, "1.0")):
        assert (await use(spam, issued.code, release=release)).startswith("serial ")
        assert "was used before" in await use(spam, issued.code, release=release)
    assert await states(spam, EGGS) == {RELEASED}
    assert (await select_states(spam, SPAM))[LATER] is HELD


# The time


async def test_ten_minutes_count_to_the_receipt_of_the_signal(spam: Connection) -> None:
    """One that Temporal received in time decides, however much later it is read; a late one never does."""
    issued = await code_for(spam)
    assert issued.expires_at == NOON + LIFETIME
    hour = timedelta(hours=1)
    await set_clock(spam, NOON + hour)
    late = [None, timedelta(), hour - LIFETIME - SECOND]
    for received in late:
        assert "the code is late" in await use(spam, issued.code, received=received)
    assert await states(spam) == {HELD}
    assert (await use(spam, issued.code, received=hour - LIFETIME)).startswith("serial ")
    assert await states(spam) == {RELEASED, HELD}


async def test_in_time_nobody_asks_when_it_was_received(spam: Connection) -> None:
    """Until the last second the receipt cannot be late."""
    issued = await code_for(spam)
    await set_clock(spam, NOON + LIFETIME)
    assert (await use(spam, issued.code)).startswith("serial ")


async def test_a_late_code_voids_no_other(spam: Connection) -> None:
    """Of two codes for one decision the second is good though the first has expired and is sent again and again."""
    first = await code_for(spam)
    await set_clock(spam, NOON + LIFETIME + SECOND)
    second = await code_for(spam)
    for _ in range(50):
        assert "late" in await use(spam, first.code)
    assert (await use(spam, second.code)).startswith("serial ")


async def test_old_codes_are_forgotten(spam: Connection) -> None:
    """A month later a row is gone; until then it answers why it decides nothing any more."""
    await code_for(spam)
    await set_clock(spam, NOON + KEPT + SECOND)
    await code_for(spam)
    assert await spam.fetchval("SELECT count(*) FROM reviewer_code") == 1
    assert await spam.fetchval("SELECT count(*) FROM reviewer_code_release") == 1


# What was shown


async def change_nothing(db: Connection) -> None:
    """Leave it."""


async def add_file(db: Connection) -> None:
    """Another wheel of the same release comes."""
    found = await select_project(db, SPAM)
    assert found is not None
    await insert_files(db, found.id, [new_file("spam-1.0-cp313-none-any.whl")])


async def add_finding(db: Connection) -> None:
    """A check finds something."""
    [item] = [item for item in await select_project_files(db, SPAM) if item.file.filename == WHEEL]
    await write_runs(
        db, NOON, [CheckRun(item.file.id, "names", (Finding("near", Severity.WARNING, "like another", {}, "names"),))]
    )


async def time_releases(db: Connection) -> None:
    """A window ends for one of the files: it is the same file."""
    await db.execute(
        "UPDATE standing SET state = 'released' FROM file WHERE file.id = file_id AND filename = $1", SDIST
    )


@pytest.mark.parametrize(
    ("change", "decides"),
    [(change_nothing, True), (time_releases, True), (add_file, False), (add_finding, False)],
)
@pytest.mark.parametrize("choice", [Choice.APPROVE, Choice.BLOCK])
async def test_a_code_is_for_what_was_shown(spam: Connection, choice: Choice, change: object, decides: bool) -> None:
    """Another file, other bytes or another finding than the reviewer saw, and the code decides nothing."""
    issued = await code_for(spam, choice)
    assert callable(change)
    await change(spam)
    before = await states(spam)
    answer = await use(spam, issued.code, choice)
    if decides:
        assert answer.startswith("serial ")
        return
    assert answer.startswith("refused: the release has changed since the code was shown")
    assert await states(spam) == before
    # It is used up: what it was shown with may come back, and nobody has looked since.
    assert "was used before" in await use(spam, issued.code, choice)


async def test_bytes_that_nobody_had_seen_are_not_bound(spam: Connection) -> None:
    """Where the digest of a file is known only after the code was shown, nobody was shown these bytes."""
    nu = NormalizedName("nu")
    await add_project(spam, "nu", [new_file("nu-1.0.tar.gz", sha256=None, path=None)])
    issued = await code_for(spam, Choice.APPROVE, (nu, "1.0"))
    await spam.execute(
        "UPDATE file SET sha256 = $1, path = '/packages/x' WHERE filename = 'nu-1.0.tar.gz'", digest_of("x")
    )
    assert "has changed since" in await use(spam, issued.code, release=(nu, "1.0"))
    assert await states(spam, nu) == {HELD}


async def test_a_new_advisory_is_a_new_finding(spam: Connection) -> None:
    """What a feed says by now of the release counts as what checks found."""
    feed = Feed(timedelta(hours=48))
    issued = await code_for(spam, feed=feed)
    await replace_advisories(spam, [Advisory("MAL-1", SPAM, True, "steals", ("1.0",), (), None, None)])
    assert "has changed since" in await use(spam, issued.code, feed=feed)


async def test_the_code_is_shown_with_all_that_it_is_bound_to(spam: Connection) -> None:
    """Files with their digests, and findings."""
    await add_finding(spam)
    [release] = (await code_for(spam)).releases
    assert [(file.filename, file.sha256, file.state) for file in release.files] == [
        (WHEEL, digest_of(WHEEL), HELD),
        (SDIST, digest_of(SDIST), HELD),
    ]
    assert [found.summary for found in release.files[0].findings] == ["like another"]


# Who may


async def test_who_gets_a_code(spam: Connection) -> None:
    """Every account that may decide about all of the releases, and the command line, which has no account."""
    for name in ("ulf", "nobody", "sven"):
        with pytest.raises(NotAllowed):
            await code_for(spam, actor=Actor(name, "api"))
    with pytest.raises(NotAllowed):
        await code_for(spam, Choice.APPROVE, (EGGS, "1.0"), RELEASE, actor=Actor("sven", "api"))
    assert (await code_for(spam, Choice.APPROVE, (EGGS, "1.0"), actor=Actor("sven", "api"))).reviewer == "sven"
    issued = await code_for(spam, actor=OPERATOR)
    assert (await use(spam, issued.code, reviewer="root")).startswith("serial ")
    assert await spam.fetchval("SELECT DISTINCT actor || ' ' || door FROM decision") == "root cli"


async def test_the_reviewer_must_still_be_one(spam: Connection) -> None:
    """A code does not outlive the account's right to decide."""
    issued, other = await code_for(spam), await code_for(spam)
    await spam.execute("DELETE FROM role_grant USING account WHERE account.id = account_id AND name = 'rita'")
    assert "rita may not decide spam" in await use(spam, issued.code)
    await spam.execute("UPDATE account SET disabled_at = now() WHERE name = 'rita'")
    assert "there is no account" in await use(spam, other.code)
    assert await states(spam) == {HELD}


async def test_a_code_proves_a_person_where_two_are_needed(spam: Connection) -> None:
    """Unlike a signal without one: two reviewers, each with a code of their own, agree."""
    await insert_grant(spam, await upsert_account(spam, "otto", None), "reviewer")
    await upsert_rule(spam, RuleKind.SECOND_PERSON, "spam", None, "four eyes", OPERATOR)
    first, again, second = await code_for(spam), await code_for(spam), await code_for(spam, actor=Actor("otto", "api"))
    assert (await use(spam, first.code)).startswith("pending until a second person agrees")
    assert (await use(spam, again.code)).startswith("pending until a second person agrees")
    assert await states(spam) == {HELD}
    assert (await use(spam, second.code, reviewer="otto")).startswith("serial ")
    assert await states(spam) == {RELEASED, HELD}


async def test_what_no_code_is_for(spam: Connection) -> None:
    """A clear error before anything is written: no release, one twice, too many, another choice, wrong days."""
    for releases, choice, days in [
        ([], Choice.APPROVE, None),
        ([RELEASE, RELEASE], Choice.APPROVE, None),
        ([(SPAM, f"{n}") for n in range(501)], Choice.APPROVE, None),
        ([RELEASE], Choice.TRUST, None),
        ([RELEASE], Choice.UNBLOCK, None),
        ([RELEASE], Choice.EXTEND, None),
        ([RELEASE], Choice.EXTEND, 0.0),
        ([RELEASE], Choice.EXTEND, float("nan")),
        ([RELEASE], Choice.EXTEND, 4000.0),
        ([RELEASE], Choice.APPROVE, 3.0),
    ]:
        with pytest.raises(UsageError):
            await issue_code(spam, RITA, choice, releases, None, days)
    for release in [(SPAM, "9.0"), (NormalizedName("nothing"), "1.0")]:
        with pytest.raises(NotKnown):
            await code_for(spam, Choice.APPROVE, release)
    assert await spam.fetchval("SELECT count(*) FROM reviewer_code") == 0


async def test_no_code_where_nothing_is_held(spam: Connection) -> None:
    """The workflow of such a release has ended and reads no signals, so the error names the other ways to decide."""
    await spam.execute(
        "UPDATE standing SET state = 'released' FROM file "
        "WHERE file.id = file_id AND version = '1.0' AND filename LIKE 'spam%'"
    )
    for releases in [(RELEASE,), ((EGGS, "1.0"), RELEASE)]:
        with pytest.raises(UsageError, match=r"no file of spam==1\.0 is held"):
            await code_for(spam, Choice.BLOCK, *releases)
    assert (await code_for(spam, Choice.BLOCK, (SPAM, "2.0"))).code


async def test_many_releases_of_a_project_are_shown_with_few_statements(spam: Connection) -> None:
    """What a batch code binds is read once for each project, not once for each release."""
    versions = [f"1.{n}" for n in range(200)]
    await add_project(spam, "train", [new_file(f"train-{version}.tar.gz") for version in versions])
    train = NormalizedName("train")
    few, many = list[object](), list[object]()
    with spam.query_logger(few.append):
        await code_for(spam, Choice.APPROVE, *((train, version) for version in versions[:2]))
    with spam.query_logger(many.append):
        issued = await code_for(spam, Choice.APPROVE, *((train, version) for version in versions))
    assert 5 < len(many) <= len(few)
    assert [release.version for release in issued.releases] == versions


async def test_only_so_many_codes_are_open(spam: Connection) -> None:
    """Each is one more that a guess could hit; used and expired ones do not count."""
    issued = [await code_for(spam, Choice.EXTEND, days=1) for _ in range(MOST_OPEN)]
    with pytest.raises(UsageError, match="wait until some have expired"):
        await code_for(spam)
    assert (await code_for(spam, actor=OPERATOR)).code
    await use(spam, issued[0].code, Choice.EXTEND, days=1)
    await code_for(spam)
    await set_clock(spam, NOON + LIFETIME + SECOND)
    await code_for(spam)
