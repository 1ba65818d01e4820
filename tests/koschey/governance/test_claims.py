"""Names that change hands: a look takes no name away, and a filename never stands for other bytes than before."""

import hashlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from koschey.db.claims import select_downloaded, select_used_names
from koschey.db.downloads import NewDownload, record_downloads
from koschey.db.files import insert_files
from koschey.db.pool import Connection
from koschey.db.projects import select_project
from koschey.errors import NotAllowed, NotKnown, Unconfirmed, UsageError
from koschey.governance.claims import claim, release_name
from koschey.governance.reservations import reserve
from koschey.governance.retention import forget_downloads
from koschey.mirror.follower import Follower
from koschey.model import Actor, FileId, Origin, State
from koschey.quarantine.impact import NO_CONSENT, Consent
from koschey.standards.names import parse_name
from tests.support.api import Api
from tests.support.app_in_process import AppInProcess
from tests.support.archives import wheel
from tests.support.commands import pip
from tests.support.koschey_up import Koschey, ask, wait_until
from tests.support.rows import WEEK, add_project, digest_of, new_file, select_files, select_states
from tests.support.uploads import upload
from tests.support.upstream.server import Upstream

CLI = Actor("ada", "cli")
SPAM: Any = "spam"


async def take(connection: Connection, filename: str, who: str | None = "ci") -> None:
    """Download a file."""
    file = await connection.fetchval("SELECT id FROM file WHERE filename = $1 AND set_aside_at IS NULL", filename)
    await record_downloads(connection, [NewDownload(FileId(file), who, None, "10.0.0.1", "pip")])


async def add_spam(connection: Connection) -> None:
    """A mirrored project with a file in each state that one can have."""
    states = {
        "1.0": State.RELEASED,
        "1.1": State.RELEASED,
        "2.0": State.HELD,
        "3.0": State.BLOCKED,
        "4.0": State.CONFLICT,
        "5.0": State.MALFORMED,
    }
    await add_project(connection, "spam", [new_file(f"spam-{v}.tar.gz", state) for v, state in states.items()])
    await take(connection, "spam-1.0.tar.gz")
    await take(connection, "spam-1.0.tar.gz", "dev")


async def test_claim_sets_all_files_aside(connection: Connection) -> None:
    """The name is hosted, all that it had is blocked, with the reason, and out of reach of lists and decisions."""
    await add_spam(connection)
    await connection.execute("UPDATE project SET display_name = 'Spam', summary = 'theirs'")
    done = await claim(connection, CLI, SPAM, "our package")
    assert (done.origin, done.changed, len(done.set_aside), done.brought_back) == (Origin.HOSTED, True, 6, ())
    assert [(taken.filename, taken.downloads) for taken in done.downloaded_files] == [("spam-1.0.tar.gz", 2)]
    project = await select_project(connection, SPAM)
    assert project is not None
    assert (project.origin, project.looked_at, project.upstream_etag) == (Origin.HOSTED, None, None)
    assert (project.display_name, project.summary) == ("spam", None)
    assert await select_files(connection, SPAM) == {}
    rows = await connection.fetch("SELECT state, reason, state_before FROM standing ORDER BY file_id")
    assert {row["state"] for row in rows} == {"blocked"}
    assert [row["state_before"] for row in rows] == ["released", "released", "held", "blocked", "conflict", "malformed"]
    assert rows[0]["reason"] == "the name spam was claimed for private packages by ada: our package"
    assert await connection.fetchval("SELECT count(*) FROM served_file") == 0
    again = await claim(connection, CLI, SPAM, "once more")
    assert (again.changed, again.serial, len(again.downloaded_files)) == (False, done.serial, 1)


@pytest.mark.parametrize("operation", [claim, release_name])
async def test_hand_over_asks_also_where_it_hides_nothing(connection: Connection, operation: Any) -> None:
    """Nobody hands a name over unasked, also where none of its files is served; the count that was shown counts."""
    await add_project(connection, "spam", [new_file("spam-1.0.tar.gz", State.HELD)])
    if operation is release_name:
        await claim(connection, CLI, SPAM, "our package")
    for consent in (NO_CONSENT, Consent(1)):
        with pytest.raises(Unconfirmed) as told:
            await operation(connection, CLI, SPAM, "a reason", consent)
        assert told.value.counts == {"files": 0, "downloads": 0, "machines": 0}
    assert (await operation(connection, CLI, SPAM, "a reason", Consent(0))).changed


async def test_claim_is_written_down_for_good(connection: Connection) -> None:
    """Who, why, and what had been downloaded until then, in the journal and in a table that is only appended to."""
    await add_spam(connection)
    await claim(connection, CLI, SPAM, "our package")
    row = await connection.fetchrow(
        "SELECT origin, actor, door, reason, files, downloaded_files, downloads, machines FROM origin_change"
    )
    assert tuple(row) == ("hosted", "ada", "cli", "our package", 6, 1, 2, 2)
    entries = await connection.fetch("SELECT action, filename, detail FROM journal ORDER BY serial")
    assert {entry["action"] for entry in entries} == {"claim name"}
    assert len(entries) == 7
    assert entries[0]["detail"] == {
        "reason": "our package", "files": 6, "downloaded_files": 1, "downloads": 2, "machines": 2
    }  # fmt: skip
    assert entries[1]["detail"] == {"set_aside": "released", "reason": "our package"}
    for statement in ("DELETE FROM origin_change", "UPDATE origin_change SET reason = 'x'", "TRUNCATE origin_change"):
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await connection.execute(statement)


async def test_origin_changes_by_a_claim_alone(connection: Connection) -> None:
    """PostgreSQL refuses another origin, and another name, whatever program asks."""
    await add_spam(connection)
    for statement in ("UPDATE project SET origin = 'hosted'", "UPDATE project SET name = 'eggs'"):
        with pytest.raises(asyncpg.RaiseError, match=r"only a claim|keeps its name"):
            await connection.execute(statement)
    await claim(connection, CLI, SPAM, "our package")
    # The row of that transaction says nothing of later ones.
    with pytest.raises(asyncpg.RaiseError, match="only a claim, or its reverse, changes that"):
        await connection.execute("UPDATE project SET origin = 'mirrored'")


async def test_release_brings_back_what_was_mirrored(connection: Connection) -> None:
    """What was served or held is held again, with its window; what was refused stays so."""
    await add_spam(connection)
    await connection.execute("UPDATE standing SET counts_from = koschey_now(), release_at = koschey_now()")
    await claim(connection, CLI, SPAM, "our package")
    await connection.execute("DELETE FROM outbox")
    done = await release_name(connection, CLI, SPAM, "we gave it up")
    assert (done.origin, done.set_aside, len(done.brought_back)) == (Origin.MIRRORED, (), 6)
    held, blocked = State.HELD, State.BLOCKED
    assert await select_states(connection, SPAM) == {
        f"spam-{v}.tar.gz": state
        for v, state in zip(("1.0", "1.1", "2.0", "3.0", "4.0", "5.0"), [held] * 3 + [blocked] * 3, strict=True)
    }
    assert await connection.fetchval("SELECT count(*) FROM standing WHERE state = 'held' AND release_at IS NULL") == 0
    keys = [row["key"] for row in await connection.fetch("SELECT key FROM outbox ORDER BY key")]
    assert keys == [f"release_held/spam/{version}" for version in ("1.0", "1.1", "2.0")]
    project = await select_project(connection, SPAM)
    assert project is not None
    assert project.looked_at is None


async def test_release_leaves_a_path_to_the_file_that_has_it_now(connection: Connection) -> None:
    """A path that another project's page lists meanwhile stays that file's, and the older one stays set aside."""
    await add_spam(connection)
    await claim(connection, CLI, SPAM, "our package")
    path = await connection.fetchval("SELECT path FROM file WHERE filename = 'spam-1.0.tar.gz'")
    await add_project(connection, "eggs", [new_file("eggs-1.0.tar.gz", State.RELEASED, path=path)])
    done = await release_name(connection, CLI, SPAM, "we gave it up")
    assert (len(done.brought_back), "spam-1.0.tar.gz" in done.brought_back) == (5, False)
    # The page of the upstream lists it again, without a path of its own.
    row = new_file("spam-1.0.tar.gz", State.MALFORMED, path=None)
    project = await select_project(connection, SPAM)
    assert project is not None
    await insert_files(connection, project.id, [row])
    await claim(connection, CLI, SPAM, "ours after all")
    await connection.execute("UPDATE file SET path = '/packages/moved' WHERE path = $1 AND set_aside_at IS NULL", path)
    done = await release_name(connection, CLI, SPAM, "we gave it up again")
    assert sorted(done.brought_back) == sorted(set(done.brought_back)), "one row of each filename"
    assert len(done.brought_back) == 6


async def test_handover_asks_the_upstream_for_nothing_more(connection: Connection) -> None:
    """What was to be fetched of the name is taken back with the claim."""
    await add_spam(connection)
    file = await connection.fetchval("SELECT id FROM file WHERE filename = 'spam-2.0.tar.gz'")
    keys = [
        f"file_wanted/{file}",
        "metadata_wanted/spam",
        "provenance_wanted/spam/2.0",
        "provenance_wanted/spam/2.0/again",
    ]
    others = ["metadata_wanted/spam-x", "provenance_wanted/spam-x/2.0", "file_wanted/999999"]
    for key in keys + others:
        await connection.execute("INSERT INTO outbox (key, kind, payload) VALUES ($1, 'x', '{}')", key)
    await claim(connection, CLI, SPAM, "ours")
    left = {row["key"] for row in await connection.fetch("SELECT key FROM outbox")}
    assert left == {*others, "release_held/spam/2.0"}


async def test_statements_do_not_grow_with_the_project(connection: Connection) -> None:
    """A name with 400 held releases changes hands in as many statements as one with two."""
    counts = []
    for name, releases in (("small", 2), ("large", 400)):
        await add_project(connection, name, [new_file(f"{name}-{number}.0.tar.gz") for number in range(releases)])
        statements: list[str] = []
        with connection.query_logger(lambda query, ran=statements: ran.append(query.query)):
            await claim(connection, CLI, parse_name(name), "ours")
            await release_name(connection, CLI, parse_name(name), "given up")
        counts.append(len(statements))
    assert counts[1] <= counts[0], "the first asks PostgreSQL of its types too"


async def test_downloads_stay_known_when_the_log_forgets(connection: Connection) -> None:
    """That a file was downloaded, by which accounts, how often and when, outlives the log; from where does not."""
    await add_spam(connection)
    await connection.execute("UPDATE download SET at = at - interval '100 days' WHERE account = 'ci'")
    assert await forget_downloads(connection, WEEK) == 1
    project = await select_project(connection, SPAM)
    assert project is not None
    [taken] = await select_downloaded(connection, project.id)
    assert (taken.downloads, taken.forgotten, taken.accounts) == (2, 1, ["ci", "dev"])
    assert taken.last_at - taken.first_at > timedelta(days=99)
    await connection.execute("UPDATE download SET at = at - interval '200 days'")
    assert await forget_downloads(connection, WEEK) == 1
    [taken] = await select_downloaded(connection, project.id)
    assert (taken.downloads, taken.forgotten, taken.accounts) == (2, 2, ["ci", "dev"])
    columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'forgotten_download'"
    assert "address" not in {row["column_name"] for row in await connection.fetch(columns)}
    await take(connection, "spam-1.0.tar.gz", None)
    [taken] = (await claim(connection, CLI, SPAM, "ours")).downloaded_files
    assert (taken.downloads, taken.forgotten, taken.accounts) == (3, 2, ["ci", "dev", None])
    used = await select_used_names(connection, SPAM, ["spam-1.0.tar.gz", "spam-1.1.tar.gz"])
    assert used == {"spam-1.0.tar.gz": {digest_of("spam-1.0.tar.gz")}}
    for statement in ("DELETE FROM forgotten_download", "TRUNCATE forgotten_download", "TRUNCATE download"):
        with pytest.raises(asyncpg.RaiseError, match="nothing is deleted"):
            await connection.execute(statement)


async def test_who_may_hand_a_name_over(connection: Connection) -> None:
    """Managing the project is needed, and a reason; a name that nobody knows, or that is reserved, says what to do."""
    await add_spam(connection)
    for change in (claim, release_name):
        with pytest.raises(NotAllowed):
            await change(connection, Actor("nobody", "api"), SPAM, "x")
        with pytest.raises(UsageError, match="give a reason"):
            await change(connection, CLI, SPAM, " ")
    with pytest.raises(NotKnown, match="koschey reserve eggs"):
        await claim(connection, CLI, "eggs", "x")  # type: ignore[arg-type]
    with pytest.raises(NotKnown, match="there is no project eggs here"):
        await release_name(connection, CLI, "eggs", "x")  # type: ignore[arg-type]
    await claim(connection, CLI, SPAM, "ours")
    await reserve(connection, CLI, "spam", "ours")
    with pytest.raises(UsageError, match=r"reserved for private packages by 'spam'.*koschey unreserve 'spam'"):
        await release_name(connection, CLI, SPAM, "x")
    assert await connection.fetchval("SELECT origin FROM project") == "hosted"


# A whole index: pages, files, uploads.


def own(name: str, version: str, note: str = "ours") -> tuple[str, bytes]:
    """The company's wheel of that name."""
    return wheel(name, version, modules={f"{name.replace('-', '_')}.py": f"# {note}\n"})


def test_look_takes_no_name_away(koschey: Koschey, upstream: Upstream, tmp_path: Path) -> None:
    """Q9: A name that somebody asked for is claimed, published, and installed; the upstream is asked for it no more."""
    stranger = upstream.add("cl-ours", "9.0")
    assert koschey.filenames("cl-ours") == [stranger.filename]
    file = own("cl-ours", "1.0")
    answer = upload(koschey, file)
    assert (answer.status, b"koschey claim cl-ours --reason WHY" in answer.body) == (400, True)
    told = json.loads(koschey.run("claim", "cl-ours", "--yes", "--reason", "our package", "--json").stdout)
    assert (told["origin"], told["set_aside"], told["downloaded"], told["downloads"]) == (
        "hosted", [stranger.filename], [], []
    )  # fmt: skip
    wait_until(lambda: koschey.filenames("cl-ours") == [])
    refused = ask(koschey.url + stranger.path)
    assert refused.status == 403
    assert "the name cl-ours was claimed for private packages by" in refused.json["detail"]
    upstream.forget_requests()
    assert upload(koschey, file).body == b"OK"
    wait_until(lambda: koschey.filenames("cl-ours") == [file[0]])
    pip("install", "--index-url", koschey.index_url, "--target", str(tmp_path), "cl-ours")
    assert (tmp_path / "cl_ours.py").read_text() == "# ours\n"
    assert upstream.about("cl-ours", "cl_ours") == []


def test_filename_that_was_downloaded_keeps_its_bytes(koschey: Koschey, upstream: Upstream) -> None:
    """Other bytes under a filename that was downloaded are refused; what nobody downloaded is free; same bytes are."""
    taken, free = upstream.add("cl-used", "1.0"), upstream.add("cl-used", "2.0")
    same = upstream.add("cl-used", "3.0")
    assert len(koschey.filenames("cl-used")) == 3
    for file in (taken, same):
        assert ask(koschey.url + file.path).status == 200
    said = json.loads(koschey.run("claim", "cl-used", "--yes", "--reason", "our package", "--json").stdout)
    assert sorted(file["filename"] for file in said["downloaded"]) == sorted([taken.filename, same.filename])
    assert [(each["filename"], each["address"]) for each in said["downloads"]] == [
        (taken.filename, "127.0.0.1"), (same.filename, "127.0.0.1")
    ]  # fmt: skip
    answer = upload(koschey, own("cl-used", "1.0"))
    digest = hashlib.sha256(taken.content).hexdigest()
    assert answer.status == 400
    assert answer.body.decode().startswith(
        f"Clients downloaded other bytes (sha256 {digest}) under the filename '{taken.filename}' from here"
    )
    assert b"exists" not in answer.body
    mine = own("cl-used", "2.0")
    assert mine[0] == free.filename
    assert upload(koschey, mine).body == b"OK"
    assert upload(koschey, (same.filename, same.content)).body == b"OK"
    wait_until(lambda: sorted(koschey.filenames("cl-used")) == [free.filename, same.filename])
    assert ask(koschey.url + same.path).body == same.content
    assert ask(koschey.url + taken.path).status == 403
    for beside in ("", ".metadata", ".provenance_url.json"):
        refused = ask(koschey.url + free.path + beside)
        assert (refused.status, refused.json["filename"]) == (403, free.filename), beside
    page = {file["filename"]: file for file in koschey.page("cl-used")["files"]}
    assert ask(koschey.url + page[free.filename]["url"]).body == mine[1]
    assert upload(koschey, mine).body == b"OK", "the same again changes nothing"


def test_name_goes_back_to_its_upstream(koschey: Koschey, upstream: Upstream, api: Api) -> None:
    """The company's files are served no more; a filename that was downloaded as the company's is a conflict."""
    clash, other = upstream.add("cl-back", "1.0"), upstream.add("cl-back", "2.0")
    koschey.page("cl-back")
    assert api.call("POST", "projects/cl-back/claim", {"reason": "ours", "confirm": 2}).status == 200
    mine = own("cl-back", "1.0")
    assert upload(koschey, mine).body == b"OK"
    path = koschey.fetch_value("SELECT path FROM file WHERE filename = $1 AND set_aside_at IS NULL", mine[0])
    assert ask(koschey.url + path).body == mine[1]
    late = upstream.add("cl-back", "3.0")
    answer = api.call("POST", "projects/cl-back/release-name", {"reason": "given up", "confirm": 1})
    assert (answer.status, answer.json["origin"]) == (200, "mirrored"), answer
    assert answer.json["files"] == [mine[0]]
    assert sorted(answer.json["brought_back"]) == [clash.filename, other.filename]
    wait_until(lambda: ask(koschey.url + path).status == 403)
    wait_until(lambda: late.filename in koschey.filenames("cl-back"))
    wait_until(lambda: other.filename in koschey.filenames("cl-back"))
    state = koschey.fetch_value("SELECT state FROM standing JOIN file ON file.id = file_id WHERE path = $1", clash.path)
    assert state == "conflict"
    assert ask(koschey.url + clash.path).status == 403
    told = koschey.run("claim", "cl-back", "--yes", "--reason", "ours after all").stdout
    assert "1 file restored" in told
    wait_until(lambda: koschey.filenames("cl-back") == [mine[0]])
    assert ask(koschey.url + path).body == mine[1]


def test_new_upstream_file_under_a_used_filename_is_a_conflict(koschey: Koschey, upstream: Upstream) -> None:
    """What the upstream lists only after the name came back must not stand for other bytes than were downloaded."""
    upstream.add("cl-later", "1.0")
    koschey.page("cl-later")
    koschey.run("claim", "cl-later", "--yes", "--reason", "ours")
    mine = own("cl-later", "2.0")
    assert upload(koschey, mine).body == b"OK"
    assert ask(koschey.url + koschey.path_of(mine[0])).status == 200
    theirs = upstream.add("cl-later", "2.0")
    koschey.run("release-name", "cl-later", "--yes", "--reason", "given up")
    assert theirs.filename == mine[0]
    wait_until(lambda: "cl_later-1.0-py3-none-any.whl" in koschey.filenames("cl-later"))
    wait_until(lambda: ask(koschey.url + theirs.path).status == 403)
    assert theirs.filename not in koschey.filenames("cl-later")


@pytest.fixture(name="api", scope="session")
def _api(koschey: Koschey) -> Api:
    return Api(koschey)


def hand_over(app: AppInProcess, change: Any, name: str) -> None:
    """Claim the name, or release it."""

    async def hand() -> None:
        async with app.resources.pool.acquire() as connection:
            await change(connection, CLI, name, "x")

    app.run(hand())
    app.hear_all()


def test_first_look_after_the_release_is_waited_for(app: AppInProcess) -> None:
    """A name that was given back is not answered from what was known before its upstream was asked."""
    app.upstream.add("cl-waited", "1.0")
    app.page("cl-waited")
    hand_over(app, claim, "cl-waited")
    assert app.page("cl-waited")["files"] == []
    newer = app.upstream.add("cl-waited", "2.0")
    hand_over(app, release_name, "cl-waited")
    assert newer.filename in [file["filename"] for file in app.page("cl-waited")["files"]]


@pytest.mark.parametrize("was_mirrored", [True, False])
def test_released_name_that_its_upstream_lacks(app: AppInProcess, was_mirrored: bool) -> None:
    """A page without files is answered, and not that the page is on its way: no look at it was interrupted."""
    name = f"cl-lacks-{was_mirrored}".lower()
    if was_mirrored:
        file = app.upstream.add(name, "1.0")
        app.page(name)
        hand_over(app, claim, name)
        app.upstream.remove(file.filename)
    else:
        app.execute("INSERT INTO project (name, display_name, origin) VALUES ($1, $1, 'hosted')", name)
    hand_over(app, release_name, name)
    assert app.page(name)["files"] == []
    assert app.upstream.count(f"/simple/{name}/") > 0


def test_claim_ends_what_an_upstream_was_suspected_of(app: AppInProcess) -> None:
    """An absence that further looks should confirm is none of a private project's, and nobody looks again."""
    app.upstream.add("cl-absent", "1.0")
    app.page("cl-absent")
    app.upstream.remove("cl_absent-1.0-py3-none-any.whl")
    app.refresh("cl-absent")
    assert app.fetch("SELECT absent_since IS NOT NULL AS is FROM project WHERE name = 'cl-absent'")[0]["is"]
    hand_over(app, claim, "cl-absent")
    app.pass_time(timedelta(days=1))
    app.upstream.forget_requests()
    app.run(Follower(app.resources.pool, app.resources.refresher, timedelta()).recheck_due(100))
    app.refresh("cl-absent")
    assert app.upstream.count("/simple/cl-absent/") == 0
    row = app.fetch("SELECT absent_since, absence_looks, recheck_at, left_out FROM project WHERE name = 'cl-absent'")
    assert tuple(row[0]) == (None, 0, None, 0)
