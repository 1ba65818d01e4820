"""Who took which file: written down before the first byte leaves, many at once, and never without."""

import asyncio
import base64
import csv
import http.client
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from io import StringIO
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from koschey.auth.tokens import new_token, parse_token
from koschey.cli.base.downloads import COLUMNS
from koschey.db.downloads import NewDownload, record_downloads, select_all_downloads, select_downloads
from koschey.db.pool import LOST, Connection, Pool
from koschey.errors import Busy
from koschey.model import FileId, State
from koschey.serving import download_log as module
from koschey.serving.download_log import MOST, DownloadLog
from tests.support.api import Api
from tests.support.koschey_up import Koschey, ask
from tests.support.rows import add_project, new_file, select_files
from tests.support.upstream.server import Upstream, UpstreamFile

WHEEL, OTHER, LATER = "spam-1.0-py3-none-any.whl", "spam-1.0.tar.gz", "spam-2.0.tar.gz"


def download(file: FileId, agent: str = "pip") -> NewDownload:
    return NewDownload(file, "ada", "abc", "192.0.2.1", agent)


async def ids(connection: Connection, state: State = State.RELEASED) -> dict[str, FileId]:
    """Three released files of two releases."""
    name = await add_project(connection, "spam", [new_file(file, state) for file in (WHEEL, OTHER, LATER)])
    return {filename: item.file.id for filename, item in (await select_files(connection, name)).items()}


# The statements


async def test_what_is_recorded_is_reported(connection: Connection) -> None:
    """A report names account, token, address, user agent, time and file, of a release or of the project."""
    known = await ids(connection)
    await record_downloads(connection, [download(known[WHEEL], "one"), download(known[LATER], "two")])
    name = await connection.fetchval("SELECT name FROM project")
    (first, second) = await select_all_downloads(connection, name, None)
    assert (first.account, first.token, first.address, first.user_agent) == ("ada", "abc", "192.0.2.1", "one")
    assert (first.version, first.filename) == ("1.0", WHEEL)
    assert (datetime.now(UTC) - first.at).total_seconds() < 60
    assert [found.user_agent for found in await select_all_downloads(connection, name, "2.0")] == ["two"]
    assert [found.id for found in await select_downloads(connection, name, None, after=first.id)] == [second.id]
    assert await select_all_downloads(connection, name, "3.0") == []


@pytest.mark.parametrize("state", [State.BLOCKED, State.REMOVED])
async def test_what_may_not_be_served_is_not_recorded(connection: Connection, state: State) -> None:
    """A file that was blocked after it was judged gets no row, and so is not handed out; others beside it are."""
    known = await ids(connection)
    await connection.execute("UPDATE standing SET state = $1 WHERE file_id = $2", state, known[WHEEL])
    both = [download(known[WHEEL]), download(known[OTHER])]
    assert await record_downloads(connection, both) == {known[OTHER]}
    assert await connection.fetchval("SELECT count(*) FROM download") == 1


async def test_a_report_waits_for_what_is_being_written(pool: Pool, connection: Connection) -> None:
    """A report that begins while a row is not committed yet has that row in it."""
    known = await ids(connection)
    async with pool.acquire() as writer:
        transaction = writer.transaction()
        await transaction.start()
        await record_downloads(writer, [download(known[WHEEL])])
        name = await connection.fetchval("SELECT name FROM project")
        report = asyncio.create_task(select_all_downloads(connection, name, None))
        done, _ = await asyncio.wait([report], timeout=0.3)
        assert not done
        await transaction.commit()
        assert len(await report) == 1


# The log of a process


@pytest.fixture(name="statements")
def _statements(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each statement had."""
    sizes: list[int] = []

    async def count(connection: Connection, batch: Sequence[NewDownload]) -> set[FileId]:
        sizes.append(len(batch))
        return await record_downloads(connection, batch)

    monkeypatch.setattr(module, "record_downloads", count)
    return sizes


async def test_many_are_committed_at_once(pool: Pool, connection: Connection, statements: list[int]) -> None:
    """Of a thousand and some downloads at once none is lost, and a few statements are enough."""
    known, log = await ids(connection), DownloadLog(pool)
    await asyncio.gather(*(log.record(download(known[WHEEL], str(number))) for number in range(MOST + 200)))
    assert await connection.fetchval("SELECT count(DISTINCT user_agent) FROM download") == MOST + 200
    assert statements == [MOST, 200]


async def test_it_is_committed_when_record_returns(pool: Pool, connection: Connection) -> None:
    """Whoever looks as soon as `record` returns sees the row."""
    known, log = await ids(connection), DownloadLog(pool)
    for number in range(20):
        await log.record(download(known[WHEEL]))
        assert await connection.fetchval("SELECT count(*) FROM download") == number + 1


async def test_a_client_that_goes_harms_nobody(pool: Pool, connection: Connection) -> None:
    """When one of those who wait is cancelled, the others are served all the same."""
    known, log = await ids(connection), DownloadLog(pool)
    gone = asyncio.create_task(log.record(download(known[WHEEL])))
    stays = asyncio.create_task(log.record(download(known[OTHER])))
    await asyncio.sleep(0)
    gone.cancel()
    await stays
    assert gone.cancelled() or gone.cancelling()
    await log.record(download(known[WHEEL]))


async def test_a_file_blocked_meanwhile_is_refused(pool: Pool, connection: Connection) -> None:
    """The client of a file that was blocked just now is asked to come back; then it gets the refusal."""
    known, log = await ids(connection, State.BLOCKED), DownloadLog(pool)
    with pytest.raises(Busy, match="has changed just now"):
        await log.record(download(known[WHEEL]))


async def test_without_postgresql_nothing_is_handed_out(own_database: str) -> None:
    """All who wait hear of it, and once PostgreSQL is back the log goes on."""
    pool = await asyncpg.create_pool(own_database, min_size=1, max_size=2)
    log = DownloadLog(pool)
    await pool.close()
    found = await asyncio.gather(*[log.record(download(FileId(1))) for _ in range(3)], return_exceptions=True)
    assert all(isinstance(error, LOST) for error in found)
    assert len(found) == 3
    again = await asyncio.gather(log.record(download(FileId(1))), return_exceptions=True)
    assert isinstance(again[0], LOST)


# Over the wire


@pytest.fixture(name="api", scope="module")
def _api(koschey: Koschey) -> Api:
    return Api(koschey)


def rows(koschey: Koschey, filename: str) -> list[dict[str, Any]]:
    """What is written down of a file, in its order."""
    query = """
        SELECT coalesce(json_agg(json_build_object('account', account, 'token', token, 'address', address,
                                                   'agent', user_agent) ORDER BY download.id), '[]')
          FROM download JOIN file ON file.id = file_id WHERE filename = $1
    """
    found: list[dict[str, Any]] = json.loads(koschey.fetch_value(query, filename))
    return found


@pytest.fixture(name="served")
def _served(koschey: Koschey, upstream: Upstream, request: pytest.FixtureRequest) -> UpstreamFile:
    """A released file of a project of the test's own."""
    name = f"dl-{abs(hash(request.node.name)) % 10**8}"
    file = upstream.add(name, "1.0", size=20_000)
    koschey.page(name)
    return file


def test_who_took_it(koschey: Koschey, served: UpstreamFile, api: Api) -> None:
    """With and without credentials, whole or in part, the first time or later, each GET is one row."""
    url, token = koschey.url + served.path, new_token()
    agent: dict[str, Any] = {"User_Agent": "pip/26"}
    assert ask(url, **agent).body == served.content
    assert ask(url, Range="bytes=10-19", **agent).body == served.content[10:20]
    basic = base64.b64encode(f"__token__:{api.admin}".encode()).decode()
    for header in (f"Bearer {api.admin}", f"Basic {basic}"):
        assert ask(url, Authorization=header, **agent).status == 200
    # Where everybody may read, credentials that prove nobody are no reason to refuse, and prove nothing.
    for wrong in (f"Bearer {token}", "Basic !", "Digest x"):
        assert ask(url, Authorization=wrong, **agent).status == 200
    parts = parse_token(api.admin)
    assert parts
    nobody = {"account": None, "token": None, "address": "127.0.0.1", "agent": "pip/26"}
    admin = nobody | {"account": koschey.fetch_value(OWNER, parts.id), "token": parts.id}
    assert rows(koschey, served.filename) == [nobody, nobody, admin, admin, nobody, nobody, nobody]


OWNER = "SELECT name FROM token JOIN account ON account.id = account_id WHERE token.id = $1"


def test_what_hands_out_nothing_is_not_written_down(koschey: Koschey, served: UpstreamFile) -> None:
    """Neither a look at the headers nor what the client has already is a download, nor is what stands beside it."""
    url = koschey.url + served.path
    ask(url)
    assert ask(url, method="HEAD").status == 200
    assert ask(url, If_None_Match=f'"{served.sha256}"').status == 304
    assert ask(url, Range="bytes=30000-").status == 416
    assert ask(f"{url}.metadata").status in (200, 404)
    assert ask(f"{url}.provenance_url.json").status == 200
    assert ask(f"{koschey.url}/packages/aa/bb/{'c' * 60}/{served.filename}").status == 404
    assert len(rows(koschey, served.filename)) == 1


def test_a_user_agent_is_cut_and_harmless(koschey: Koschey, served: UpstreamFile) -> None:
    """However long it is and whatever it holds, a user agent fits, and steers nobody's terminal."""
    ask(koschey.url + served.path, User_Agent="a\x9b2J" + "x" * 3000)
    (row,) = rows(koschey, served.filename)
    assert len(row["agent"]) == 200
    assert row["agent"].startswith("a?2Jxxx")


def test_no_byte_leaves_before_the_commit(koschey: Koschey, served: UpstreamFile) -> None:
    """While the row cannot be written the client gets nothing, not even a status; then all of it."""
    ask(koschey.url + served.path)
    place = urlsplit(koschey.url)

    async def run() -> None:
        other = await asyncpg.connect(koschey.settings["KOSCHEY_DATABASE_URL"])
        try:
            async with other.transaction():
                await other.execute("LOCK TABLE download IN EXCLUSIVE MODE")
                reader, writer = await asyncio.open_connection(place.hostname, place.port)
                writer.write(f"GET {served.path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(reader.read(1), 0.7)
            answer = await asyncio.wait_for(reader.read(), 20)
            assert answer.startswith(b"HTTP/1.1 200")
            assert answer.endswith(served.content)
            writer.close()
        finally:
            await other.close()

    asyncio.run(run())


@pytest.fixture(name="full")
def _full(koschey: Koschey) -> Iterator[None]:
    """PostgreSQL as it is while it starts, for who wants to write down a download."""

    def run(sql: str) -> None:
        async def work() -> None:
            connection = await asyncpg.connect(koschey.settings["KOSCHEY_DATABASE_URL"])
            await connection.execute(sql)
            await connection.close()

        asyncio.run(work())

    run("""
        CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN RAISE EXCEPTION 'starting' USING ERRCODE = '57P03'; END $$;
        CREATE TRIGGER away BEFORE INSERT ON download FOR EACH ROW EXECUTE FUNCTION away();
    """)
    try:
        yield
    finally:
        run("DROP TRIGGER away ON download; DROP FUNCTION away")


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=0-9"}])
def test_what_cannot_be_written_down_is_503(
    koschey: Koschey, served: UpstreamFile, headers: dict[str, Any], full: None
) -> None:
    """A download that cannot be recorded is not handed out, and the client is told to come back."""
    answer = ask(koschey.url + served.path, **headers)
    assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")
    assert int(answer.headers["retry-after"]) > 0
    assert served.content[:10] not in answer.body
    assert ask(koschey.url + served.path, method="HEAD").status == 200


def test_the_report_of_a_command(koschey: Koschey, served: UpstreamFile) -> None:
    """The command prints a table, JSON and CSV; a cell that a spreadsheet would compute is text in it."""
    ask(koschey.url + served.path, User_Agent="=cmd|'/c calc'!A1")
    ask(koschey.url + served.path, User_Agent="uv/0.9 [x]")
    name = koschey.fetch_value(
        "SELECT name FROM project JOIN file ON file.project_id = project.id WHERE filename = $1", served.filename
    )
    found = json.loads(koschey.run("downloads", f"{name}==1.0", "--json").stdout)
    assert [(row["filename"], row["user_agent"]) for row in found] == [
        (served.filename, "=cmd|'/c calc'!A1"),
        (served.filename, "uv/0.9 [x]"),
    ]
    cells = list(csv.reader(StringIO(koschey.run("downloads", name, "--csv").stdout)))
    assert cells[0] == list(COLUMNS)
    assert [row[-1] for row in cells[1:]] == ["'=cmd|'/c calc'!A1", "uv/0.9 [x]"]
    assert "2 downloads" in koschey.run("downloads", name).stdout
    assert "Nobody has downloaded" in koschey.run("downloads", f"{name}==9").stdout
    unknown = koschey.run("downloads", "dl-never", check=False)
    assert (unknown.returncode, "not known here" in unknown.stderr) == (1, True)


def test_the_report_of_the_api(koschey: Koschey, served: UpstreamFile, api: Api) -> None:
    """A reviewer of the project reads the report in parts; others do not."""
    for number in range(5):
        ask(koschey.url + served.path, User_Agent=f"client-{number}")
    name = koschey.fetch_value(
        "SELECT name FROM project JOIN file ON file.project_id = project.id WHERE filename = $1", served.filename
    )
    token = api.token("reviewer", name)
    first = api.call("GET", f"projects/{name}/downloads", token=token, query={"limit": 3}).json["downloads"]
    rest = api.call("GET", f"projects/{name}/downloads", token=token, query={"after": first[-1]["id"]})
    agents = [row["user_agent"] for row in first + rest.json["downloads"]]
    assert agents == [f"client-{number}" for number in range(5)]
    for role in ("uploader", None):
        assert api.call("GET", f"projects/{name}/downloads", token=api.token(role)).status == 403
    assert api.call("GET", f"projects/{name}/downloads", token=api.token("reviewer", "other")).status == 403
    assert api.call("GET", "projects/dl-never/downloads").status == 404


def test_keep_alive_clients_are_each_written_down(koschey: Koschey, served: UpstreamFile) -> None:
    """Ten GETs over one connection are ten rows."""
    place = urlsplit(koschey.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 0, timeout=30)
    for _ in range(10):
        connection.request("GET", served.path)
        assert connection.getresponse().read() == served.content
    connection.close()
    assert len(rows(koschey, served.filename)) == 10
