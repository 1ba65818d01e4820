"""Codes of reviewers: what one proves, for how long, how often, and to whom; and what a guess is worth."""

import asyncio
import hashlib
import json
import re
import shlex
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from koschey.auth.codes import ALPHABET, CODE, digest_code, new_code
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
from koschey.quarantine.decide import Choice, Decision
from koschey.quarantine.reviewer_codes import (
    KEPT,
    LIFETIME,
    MOST_OPEN,
    IssuedCode,
    issue_code,
    redeem_code,
    was_received_in_time,
)
from koschey.quarantine.signal_commands import signal_input, signal_lines
from koschey.quarantine.signal_sifting import Candidate, Sifted, sift_by_account, sift_by_code
from tests.support.postgres import set_clock
from tests.support.rows import NOON, add_project, digest_of, new_file, select_states

SPAM, EGGS = NormalizedName("spam"), NormalizedName("eggs")
WHEEL, SDIST, LATER = "spam-1.0-py3-none-any.whl", "spam-1.0.tar.gz", "spam-2.0.tar.gz"
RITA, OPERATOR = Actor("rita", "admin"), Actor("root", "cli")
SECOND = timedelta(seconds=1)
RELEASE = (SPAM, "1.0")
HELD, RELEASED, BLOCKED = State.HELD, State.RELEASED, State.BLOCKED


@pytest.fixture
async def spam(connection: Connection) -> Connection:
    """Two held releases of a project, one of another, and reviewers of all and of one."""
    await set_clock(connection, NOON)
    await add_project(connection, "spam", [new_file(WHEEL), new_file(SDIST), new_file(LATER)])
    await add_project(connection, "eggs", [new_file("eggs-1.0.tar.gz")])
    for name, role, scope in (("rita", "reviewer", "*"), ("sven", "reviewer", "eggs"), ("ulf", "uploader", "*")):
        await insert_grant(connection, await upsert_account(connection, name, None), role, scope)
    return connection


async def code_for(
    db: Connection,
    choice: Choice = Choice.APPROVE,
    *releases: tuple[NormalizedName, str],
    actor: Actor = RITA,
    days: float | None = None,
    feed: Feed | None = None,
) -> IssuedCode:
    return await issue_code(db, actor, choice, releases or [RELEASE], feed, days)


async def use(
    db: Connection,
    code: str,
    choice: Choice = Choice.APPROVE,
    release: tuple[NormalizedName, str] = RELEASE,
    *,
    reviewer: str = "rita",
    days: float | None = None,
    received: timedelta | None = None,
    feed: Feed | None = None,
) -> str:
    """Send a code; `received` is how long ago Temporal received it, for codes that are late."""

    async def age() -> timedelta | None:
        return received

    decision = Decision(choice, *release, "seen in Temporal", days=days)
    in_time = await was_received_in_time(db, code, decision, age)
    return await redeem_code(db, code, reviewer, decision, feed, in_time=in_time)


async def states(db: Connection, project: NormalizedName = SPAM) -> set[State]:
    return set((await select_states(db, project)).values())


# The form


def test_codes_are_short_and_hard_to_mistake() -> None:
    """Ten characters of 32, none of which looks like another: 50 bits."""
    codes = {new_code() for _ in range(500)}
    assert len(codes) == 500
    assert all(re.fullmatch(f"[{ALPHABET}]{{5}}-[{ALPHABET}]{{5}}", code) for code in codes)
    assert len(set(ALPHABET)) == 32
    assert not set("ILOU") & set(ALPHABET)


def test_a_code_may_be_typed_as_people_do() -> None:
    """Case, hyphens, spaces and look-alikes make no other code."""
    assert (
        len({digest_code(text) for text in ("01ABC-DEF00", "oiabcdefoo", " O L A B C D E F 0 0 ", "01abcdef00")}) == 1
    )
    assert digest_code("01ABC-DEF00") == hashlib.sha256(b"01ABCDEF00").hexdigest()


@given(st.text())
def test_any_text_is_a_code_or_none(text: str) -> None:
    """No text is an error, and what has a digest has the form of a code."""
    digest = digest_code(text)
    assert digest is None or re.fullmatch("[0-9a-f]{64}", digest)
    assert digest_code(f"{text}!") is None
    assert not CODE.fullmatch(f"{text}!")


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
    await spam.execute("DELETE FROM account_grant USING account WHERE account.id = account_id AND name = 'rita'")
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


# Thousands at once


async def test_thousands_are_sifted_in_one_statement(spam: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many guess, one statement finds the signals that carry a right code."""
    issued = await code_for(spam)
    candidates = [Candidate("approve", "rita", new_code()) for _ in range(3_000)]
    candidates += [Candidate("approve", "rita"), Candidate("approve", "rita", "junk"), Candidate("trust", "rita", "x")]
    candidates[1_234] = Candidate("approve", "rita", issued.code.lower())
    statements = 0

    class Counting:
        async def fetch(self, *args: object) -> object:
            nonlocal statements
            statements += 1
            return await spam.fetch(*args)

    sifted = await sift_by_code(Counting(), RELEASE, candidates, no_receipt)
    assert statements == 1
    assert sifted.chosen == [1_234]
    assert sifted.wrong == 3_001
    refused = [place for refusal in sifted.refusals for place in refusal.positions]
    assert sorted([*refused, 1_234]) == list(range(3_003))
    assert len(sifted.refusals) <= 3


async def no_receipt(code: str, run: str) -> timedelta | None:
    raise AssertionError((code, run))


async def test_only_late_codes_are_looked_up_in_the_history(spam: Connection) -> None:
    """Nobody can have histories read with codes that do not exist, or that were used."""
    first, second = await code_for(spam), await code_for(spam)
    await use(spam, first.code)
    await set_clock(spam, NOON + 2 * LIFETIME)
    asked: list[tuple[str, str]] = []

    async def age(code: str, run: str) -> timedelta | None:
        asked.append((code, run))
        return LIFETIME

    candidates = [
        Candidate("approve", "rita", code, received_in="run") for code in (new_code(), first.code, second.code)
    ]
    assert (await sift_by_code(spam, RELEASE, candidates, age)).chosen == [2]
    assert asked == [(second.code, "run")]


async def test_trusted_signals_are_sifted_by_account(spam: Connection) -> None:
    """Where no code is needed, names that may not decide are sorted out for all signals together."""
    names = ["rita", "sven", "ulf", "nobody", "", "rita\0", "rita"]
    sifted = await sift_by_account(spam, SPAM, [Candidate("approve", name) for name in names])
    assert sifted.chosen == [0, 6]
    assert [refusal.positions for refusal in sifted.refusals] == [[1, 2, 3, 4, 5]]
    assert await sift_by_account(spam, EGGS, [Candidate("approve", "sven")]) == Sifted([0])


# The lines


def words(lines: Sequence[str]) -> list[list[str]]:
    return [shlex.split(line) for line in lines]


async def test_ready_lines_say_what_the_code_is_for(spam: Connection) -> None:
    """Each line carries reviewer, code and reason, whatever the reason is made of, and a batch all of its releases."""
    reason = 'it\'s "fine" $(rm -rf /) `x` \n ü \x1b[31m'
    issued = await code_for(spam, Choice.EXTEND, days=3)
    given = json.loads(signal_input(issued, reason))
    assert given == {"reviewer": "rita", "reason": reason, "code": issued.code, "days": 3}
    for line in words(signal_lines(issued, reason)):
        assert json.loads(line[line.index("--input") + 1]) == given
        assert "quarantine/spam/1.0" in line
        assert "extend" in line
    batch = await code_for(spam, Choice.BLOCK, RELEASE, (EGGS, "1.0"))
    for line in words(signal_lines(batch, reason)):
        query = line[line.index("--query") + 1]
        assert query == 'WorkflowId IN ("quarantine/spam/1.0", "quarantine/eggs/1.0") AND ExecutionStatus="Running"'
        assert "reject" in line
    assert not [line for line in signal_lines(issued, reason) if not line.isprintable()]
