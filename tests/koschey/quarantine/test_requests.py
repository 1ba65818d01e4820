"""`koschey request`: who asks for a release that is not served is counted, shown to reviewers, and answered."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from packaging.utils import NormalizedName

from koschey.db.pool import Pool
from koschey.db.requests import select_release_requests, select_request_counts, select_requests
from koschey.errors import NotKnown, TooManyRequests, UsageError
from koschey.model import State
from koschey.quarantine.requests import MAX_OPEN, record_request, requester_name
from tests.support.api import NOBODY, Api, is_problem
from tests.support.koschey_up import Koschey
from tests.support.releases import hold
from tests.support.rows import NOON, WEEK, add_project, new_file
from tests.support.upstream.server import Upstream

NAME = NormalizedName("asked")


async def fill(pool: Pool, *versions: str, state: State = State.HELD) -> None:
    """Releases of one project."""
    rows = [new_file(f"asked-{v}-py3-none-any.whl", state, release_at=NOON + 999 * WEEK) for v in versions]
    async with pool.acquire() as connection:
        await add_project(connection, "asked", rows)


async def test_asking_again_counts(pool: Pool) -> None:
    """One row a release and who; the last reason stands, and the number grows."""
    await fill(pool, "1.0")
    assert (await record_request(pool, NAME, "1.0", "ann", "first", WEEK)).times == 1
    assert (await record_request(pool, NAME, "1.0.0", "ann", "second", WEEK)).times == 2
    await record_request(pool, NAME, "1.0", "bob", "me too", WEEK)
    found = await select_requests(pool)
    assert [(each.who, each.times, each.reason) for each in found] == [("bob", 1, "me too"), ("ann", 2, "second")]
    releases = [("asked", "1.0"), ("asked", "2.0")]
    assert await select_request_counts(pool, releases) == {("asked", "1.0"): 2}
    assert await select_request_counts(pool, releases[1:]) == {}


async def test_what_cannot_be_asked_for(pool: Pool) -> None:
    """What is served or unknown, an empty or endless reason: each is refused with why, and leaves nothing."""
    await fill(pool, "1.0", state=State.RELEASED)
    for version, reason, error, words in (
        ("1.0", "why", UsageError, "already served"),
        ("2.0", "why", NotKnown, "not known here"),
        ("1.0", " ", UsageError, "reason of 1 to 2000"),
        ("1.0", "x" * 2001, UsageError, "reason of 1 to 2000"),
    ):
        with pytest.raises(error, match=words):
            await record_request(pool, NAME, version, "ann", reason, WEEK)
    assert await pool.fetchval("SELECT count(*) FROM request") == 0


async def test_nobody_waits_for_more_than_a_hundred(pool: Pool) -> None:
    """The hundred and first is refused, while one of the hundred may be asked for again, and others may ask."""
    versions = [f"1.{number}" for number in range(MAX_OPEN + 1)]
    await fill(pool, *versions)
    for version in versions[:-1]:
        await record_request(pool, NAME, version, "ann", "why", WEEK)
    with pytest.raises(TooManyRequests, match="already has 100 open requests"):
        await record_request(pool, NAME, versions[-1], "ann", "why", WEEK)
    assert (await record_request(pool, NAME, versions[0], "ann", "again", WEEK)).times == 2
    assert (await record_request(pool, NAME, versions[-1], "bob", "why", WEEK)).times == 1
    # What time has let out since counts no more, and is shown to nobody.
    await pool.execute(
        "UPDATE standing SET state = 'released' FROM file WHERE file.id = file_id AND version = $1", versions[1]
    )
    await record_request(pool, NAME, versions[-1], "ann", "why", WEEK)
    counts = await select_request_counts(pool, [("asked", version) for version in versions])
    assert ("asked", versions[1]) not in counts
    assert counts["asked", versions[0]] == 1
    assert await select_release_requests(pool, NAME, versions[1], 10) == (0, [])


async def test_of_one_release(pool: Pool) -> None:
    """Those who wait for one release: all are counted, the last are named, and each as in the list of all."""
    await fill(pool, "1.0", "2.0")
    for who in ("ann", "bob", "eve"):
        await record_request(pool, NAME, "1.0", who, "why", WEEK)
    await record_request(pool, NAME, "2.0", "dan", "why", WEEK)
    count, last = await select_release_requests(pool, NAME, "1.0", 2)
    assert (count, [each.who for each in last]) == (3, ["eve", "bob"])
    assert last == [each for each in await select_requests(pool) if each.version == "1.0"][:2]


@pytest.mark.parametrize(
    ("account", "address", "who"),
    [
        ("ann", "192.0.2.7", "ann"),
        (None, "192.0.2.7", "192.0.2.7"),
        (None, "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        (None, "::ffff:192.0.2.7", "192.0.2.7"),
        (None, None, "somebody"),
        (None, "unix:", "somebody"),
    ],
)
def test_who_asks(account: str | None, address: str | None, who: str) -> None:
    """An account is itself, an address stands for whoever has no account, and a network of IPv6 is one."""
    assert requester_name(account, address) == who


def test_requests_are_shown_and_answered(koschey: Koschey, upstream: Upstream) -> None:
    """Asked through the API and the command, shown in every list of a reviewer, and gone with the decision."""
    hold(koschey, upstream, "rq-shown")
    api, body = Api(koschey), {"project": "Rq_Shown", "version": "2.0", "reason": "our [bold]build[/bold]"}
    answer = api.call("POST", "requests", body, token=NOBODY)
    assert (answer.status, answer.json["who"], answer.json["times"], answer.json["state"]) == (
        200,
        "127.0.0.1",
        1,
        "held",
    )
    assert api.call("POST", "requests", body, token=api.token("uploader")).json["who"].startswith("uploader-")
    told = koschey.run("request", "rq-shown==2.0", "--reason", "again", "--index", koschey.index_url).stdout
    assert "127.0.0.1 has requested it (2 times so far)" in told
    here = json.loads(koschey.run("request", "rq-shown==2.0", "--reason", "here", "--json").stdout)
    assert here[0]["times"] == 1
    listed = [row for row in json.loads(koschey.run("requests", "--json").stdout) if row["project"] == "rq-shown"]
    assert len(listed) == 3
    assert "rq-shown" in koschey.run("requests").stdout
    mine = [row for row in api.call("GET", "requests").json["requests"] if row["project"] == "rq-shown"]
    assert {row["reason"] for row in mine} == {"again", "our [bold]build[/bold]", "here"}
    [release] = api.call("GET", "quarantine", query={"project": "rq-shown"}).json["releases"]
    assert release["asked"] == 3
    rows = json.loads(koschey.run("quarantine", "--json").stdout)
    assert [row["asked"] for row in rows if row["project"] == "rq-shown"] == [3]
    assert "requests" in koschey.run("quarantine").stdout
    koschey.run("approve", "rq-shown==2.0", "--reason", "reviewed")
    query = "SELECT count(*) FROM request WHERE project = 'rq-shown' AND answered_at IS NOT NULL"
    assert koschey.fetch_value(query) == 3
    assert "rq-shown" not in koschey.run("requests", "--json").stdout
    assert is_problem(api.call("POST", "requests", body, token=NOBODY), 400)


def test_a_block_answers_and_may_be_asked_about_again(koschey: Koschey, upstream: Upstream) -> None:
    """A block is an answer; whoever asks again after it is shown again."""
    upstream.add("rq-block", "1.0", upload_time=datetime.now(UTC) - timedelta(hours=1))
    koschey.page("rq-block")
    koschey.run("request", "rq-block==1.0", "--reason", "please")
    koschey.run("block", "rq-block==1.0", "--reason", "malware")
    assert "rq-block" not in koschey.run("requests", "--json").stdout
    koschey.run("request", "rq-block==1.0", "--reason", "it is no malware")
    assert "it is no malware" in koschey.run("requests", "--json").stdout


def test_errors_of_the_command(koschey: Koschey, upstream: Upstream) -> None:
    """What the index refuses is exit code 1 in its words; a missing reason is a usage error."""
    upstream.add("rq-errors", "1.0")
    koschey.page("rq-errors")
    for index in ((), ("--index", koschey.index_url)):
        done = koschey.run("request", "rq-errors==1.0", "--reason", "x", *index, check=False)
        assert (done.returncode, done.stderr) == (
            1,
            "koschey: rq-errors==1.0 is already served; it needs no request\n",
        )
    assert koschey.run("request", "rq-errors==1.0", check=False).returncode == 2
