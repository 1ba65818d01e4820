"""`koschey explain`: one account of a release, the same from the database and from the index."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from packaging.utils import NormalizedName

from koschey.causes import BY_TIME
from koschey.db.findings import CheckRun, write_runs
from koschey.db.pool import Pool
from koschey.db.rules import write_rule
from koschey.model import FileId, Standing, State
from koschey.policy.availability import Availability, Explanation
from koschey.policy.findings import Finding, Severity
from koschey.policy.rules import Rule, RuleKind
from koschey.quarantine.explanations import explain, load_snapshot
from tests.support.koschey_up import JSON, Koschey
from tests.support.postgres import set_clock
from tests.support.releases import end_of_window
from tests.support.rows import NOON, WEEK, add_project, new_file
from tests.support.upstream.server import Upstream

NAME = NormalizedName("told")


async def told(pool: Pool, version: str, *hashes: str) -> Explanation:
    """What is said of a release."""
    return (await load_snapshot(pool, NAME, WEEK)).explain(version, hashes)


def held(version: str, *, days: float | None = 3, **changes: Any) -> Any:
    """A wheel that is held for some days from noon."""
    end = NOON + timedelta(days=days) if days is not None else None
    standing = Standing(State.HELD, BY_TIME, "in quarantine", end, None)
    return new_file(f"told-{version}-py3-none-any.whl", standing=standing, **changes)


@pytest.fixture(autouse=True)
async def _noon(pool: Pool) -> None:
    await set_clock(pool, NOON)


async def fill(pool: Pool, *rows: Any) -> list[FileId]:
    """Put rows in place, and return their ids."""
    async with pool.acquire() as connection:
        await add_project(connection, "told", rows)
        return [FileId(row["id"]) for row in await connection.fetch("SELECT id FROM file ORDER BY id")]


def free(version: str, **changes: Any) -> Any:
    """A wheel that is released."""
    return new_file(f"told-{version}-py3-none-any.whl", State.RELEASED, **changes)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("3.0", "2.0"), ("2.8", "2.0"), ("3.0rc1", "2.5b1"), ("1.0", None), ("1!0", "2.0"), ("1.9.post1", "1.9")],
)
async def test_the_newest_older_version_that_is_free(pool: Pool, asked: str, expected: str | None) -> None:
    """It is the newest below by PEP 440 that is served and not yanked; pre-releases are only for pre-releases."""
    yanked = free("2.9", yanked="bad")
    await fill(pool, *(free(v) for v in ("1.0", "1.9", "1.10", "2.0", "2.5b1")), yanked, held("2.8"), held("4.0"))
    assert (await told(pool, asked)).free == expected


async def test_a_release_is_served_where_one_file_is_and_a_lock_needs_each(pool: Pool) -> None:
    """A late wheel that is held takes nothing from whoever names a version, but from a lock that has its digest."""
    late = new_file("told-1.0-cp313-cp313-win32.whl", release_at=NOON + timedelta(days=2))
    first = free("1.0")
    await fill(pool, first, late)
    plain = await told(pool, "1.0")
    assert (plain.state, plain.reason[:30]) == (Availability.SERVED, "1 of 2 files are not served: a")
    assert (await told(pool, "1.0.0", f"sha256:{first.sha256}")).state is Availability.SERVED
    both = await told(pool, "1.0", f"sha256:{first.sha256}", f"sha256:{late.sha256}")
    assert (both.state, both.release_at) == (Availability.HELD, NOON + timedelta(days=2))
    other = await told(pool, "1.0", f"sha256:{'0' * 64}")
    assert (other.state, other.request) == (Availability.OTHER_BYTES, None)
    # Only sha256 is compared; of other digests nothing can be told.
    assert (await told(pool, "1.0", "md5:00")).state is Availability.SERVED


async def test_the_worst_file_decides_where_all_are_needed(pool: Pool) -> None:
    """A lock over a held and a blocked file is blocked; who names the version waits for what comes first."""
    blocked = new_file("told-1.0.tar.gz", State.BLOCKED)
    await fill(pool, held("1.0", days=2), blocked)
    assert (await told(pool, "1.0")).state is Availability.HELD
    hashes = [f"sha256:{item.file.sha256}" for item in (await load_snapshot(pool, NAME, WEEK)).known]
    assert (await told(pool, "1.0", *hashes)).state is Availability.BLOCKED


async def test_a_finding_for_a_reviewer_takes_the_date_away(pool: Pool) -> None:
    """What a person must look at is not free on any day, and the finding is told in one line."""
    [file] = await fill(pool, held("1.0"))
    assert (await told(pool, "1.0")).release_at == NOON + timedelta(days=3)
    found = Finding("install-hook", Severity.SERIOUS, "setup.py runs curl", {})
    async with pool.acquire() as connection:
        await write_runs(connection, NOON, [CheckRun(file, "hooks", (found,))])
    explanation = await told(pool, "1.0")
    assert (explanation.state, explanation.release_at) == (Availability.HELD, None)
    assert explanation.files[0].findings == ("hooks: setup.py runs curl",)
    assert "a reviewer must decide" in explanation.reason


async def test_windows_follow_the_rules_of_today(pool: Pool) -> None:
    """The moment is the one that the rules say now, also before anybody has written it down."""
    standing = Standing(State.HELD, BY_TIME, "in quarantine", NOON + WEEK, None, counts_from=NOON)
    await fill(pool, new_file("told-1.0-py3-none-any.whl", standing=standing))
    assert (await told(pool, "1.0")).release_at == NOON + WEEK
    async with pool.acquire() as connection:
        await write_rule(connection, Rule(RuleKind.WINDOW, None, "slow", "me", "told", value="30"))
    assert (await told(pool, "1.0")).release_at == NOON + timedelta(days=30)


async def test_a_window_that_has_ended_has_no_date(pool: Pool) -> None:
    """A moment that has passed is not told as one to wait for."""
    await fill(pool, held("1.0", days=-1))
    explanation = await told(pool, "1.0")
    assert (explanation.state, explanation.release_at) == (Availability.HELD, None)
    assert explanation.reason == "the quarantine window ended; it is about to be released"


async def test_what_nobody_has(pool: Pool) -> None:
    """An unknown release is missing; where a rule closes the name it is blocked, known or not."""
    assert (await explain(pool, NAME, "1.0", WEEK)).state is Availability.MISSING
    insert = "INSERT INTO rule (index_id, kind, project, reason, actor) SELECT id, 'reserved', 'told', 'ours', 'me'"
    await pool.execute(f"{insert} FROM index")
    explanation = await explain(pool, NAME, "1.0", WEEK)
    assert (explanation.state, explanation.reason) == (
        Availability.BLOCKED,
        "the name is reserved for private packages: ours",
    )


# The command


def test_both_ways_say_the_same(koschey: Koschey, upstream: Upstream) -> None:
    """With `--index` the index is asked, without it the database; for people and for programs."""
    upstream.add("ex-both", "1.0")
    file = upstream.add("ex-both", "2.0", upload_time=datetime.now(UTC) - timedelta(hours=1))
    koschey.page("ex-both")
    here = koschey.run("explain", "ex-both==2.0").stdout
    there = koschey.run("explain", "Ex_Both==2.0", "--index", koschey.index_url).stdout
    assert here == there
    lines = here.splitlines()
    assert lines[0].startswith(f"ex-both 2.0 is held until {end_of_window(file)}")
    assert lines[1:] == [
        "  why:     in quarantine",
        "  instead: ex-both 1.0",
        "  request: koschey request ex-both==2.0 --reason WHY",
    ]
    as_json = [
        json.loads(koschey.run("explain", "ex-both==2.0", "--json", *index).stdout)
        for index in ((), ("--index", koschey.index_url))
    ]
    assert as_json[0] == as_json[1]
    assert (as_json[0]["state"], as_json[0]["free"]) == ("held", "1.0")
    assert file.sha256 not in json.dumps(as_json)
    assert koschey.run("explain", "ex-both==1.0").stdout == "ex-both 1.0 is served\n"


def test_files_that_are_left_out_are_named(koschey: Koschey, upstream: Upstream) -> None:
    """What the upstream's page lists and Koschey does not keep is said with its cause, on both ways."""
    file = upstream.add("ex-lost", "1.0")
    page = upstream.project_detail("ex-lost")
    assert page is not None
    odd = [{"filename": f"ex_lost-{v}-py3-none-any.whl", "url": "ftp://files.example.org/x"} for v in ("1.0", "2.0")]
    odd[0]["filename"] = "ex_lost-1.0 py3.whl"
    body = json.dumps(page | {"files": [*page["files"], *odd]}).encode()
    upstream.fault("ex-lost", status=200, body=body, content_type=JSON)
    assert koschey.filenames("ex-lost") == [file.filename]
    for index in ((), ("--index", koschey.index_url)):
        assert koschey.run("explain", "ex-lost==1.0", *index).stdout.splitlines() == [
            "ex-lost 1.0 is served",
            "  left out: ex_lost-1.0 py3.whl: its name cannot be used in a URL, a header or a page",
        ]
        missing = koschey.run("explain", "ex-lost==2.0", *index, check=False)
        assert missing.returncode == 1
        assert "lists ex_lost-2.0-py3-none-any.whl, which is left out: its address is not an http" in missing.stderr


def test_files_without_a_version_are_named(koschey: Koschey, upstream: Upstream) -> None:
    """A file whose name states no version that anybody can read is said beside the release that its name holds."""
    wheel = upstream.add("ex-kinds", "1.0")
    upstream.add("ex-kinds", "1.0", filename="ex-kinds-1.0.rpm", content=b"a package")
    assert koschey.filenames("ex-kinds") == [wheel.filename]
    for index in ((), ("--index", koschey.index_url)):
        first, served, malformed = koschey.run("explain", "ex-kinds==1.0", *index).stdout.splitlines()
        assert first == "ex-kinds 1.0 is served"
        assert served == f"  file:    {wheel.filename} is served"
        assert malformed.startswith("  file:    ex-kinds-1.0.rpm is malformed: ")


def test_errors_name_what_is_wrong(koschey: Koschey, upstream: Upstream) -> None:
    """A release that is not known is exit code 1; an index that is none, or a URL that is none, is 2."""
    upstream.add("ex-errors", "1.0")
    for arguments, code, words in (
        (("ex-errors==9.9", "--index", koschey.index_url), 1, "this index has no such release"),
        (("ex-nobody==1.0", "--index", koschey.index_url), 1, "neither this index nor its upstream"),
        (("ex-nobody==1.0",), 1, "this index has no such release"),
        (("ex-errors",), 1, "name==version"),
        (("ex-errors==1.0", "--index", upstream.url), 2, "is "),
        (("ex-errors==1.0", "--index", "nowhere"), 2, "is not the URL of an index"),
        (("ex-errors==1.0", "--index", "http://127.0.0.1:1/simple/"), 2, "cannot be reached"),
    ):
        done = koschey.run("explain", *arguments, check=False)
        assert (done.returncode, words in done.stderr) == (code, True), (arguments, done.stderr)
        assert "Traceback" not in done.stderr
