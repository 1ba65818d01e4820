"""Recalls: nothing is served any more, at once and everywhere, and it is known who has it."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from packaging.utils import NormalizedName

from koschey.db.alerts import select_alerts
from koschey.db.journal import select_serial
from koschey.db.pool import Connection
from koschey.db.rules import select_rules
from koschey.errors import NotKnown
from koschey.model import Actor, State
from koschey.policy.rules import RuleKind
from koschey.quarantine.decide import Choice, Decision, DecisionOutcome, decide
from tests.support.api import Api
from tests.support.koschey_up import Koschey, ask
from tests.support.rows import add_project, new_file, select_states
from tests.support.upstream.server import Upstream

SPAM = NormalizedName("spam")
WHEEL, LATER = "spam-1.0-py3-none-any.whl", "spam-2.0.tar.gz"
ADA = Actor("ada", "cli")


async def recall(connection: Connection, version: str | None = "1.0", reason: str = "malware") -> DecisionOutcome:
    return await decide(connection, ADA, Decision(Choice.RECALL, SPAM, version, reason))


async def released(connection: Connection) -> None:
    await add_project(connection, "spam", [new_file(name, State.RELEASED) for name in (WHEEL, LATER)])


# What is written


async def test_it_blocks_and_says_that_it_is_a_recall(connection: Connection) -> None:
    """A recall blocks as a block does, under its own name, with one alert and one message to the webhook."""
    await released(connection)
    outcome = await recall(connection)
    assert (outcome.filenames, outcome.serial) == ((WHEEL,), 1)
    assert await select_states(connection, SPAM) == {WHEEL: State.BLOCKED, LATER: State.RELEASED}
    (rule,) = (await select_rules(connection, SPAM)).rules
    assert (rule.kind, rule.version, rule.reason, rule.actor) == (RuleKind.BLOCKED, "1.0", "malware", "ada")
    rows = await connection.fetch("SELECT action, version, filename FROM journal")
    assert [tuple(row) for row in rows] == [("recall", "1.0", WHEEL)]
    rows = await connection.fetch("SELECT action, version, filename, reason FROM decision")
    assert [tuple(row) for row in rows] == [("recall", "1.0", WHEEL, "malware")]
    (alert,) = await select_alerts(connection)
    assert (alert.kind, alert.project, alert.version, alert.serial) == ("recall", "spam", "1.0", 1)
    assert alert.detail == {"reason": "malware", "actor": "ada", "files": 1}
    keys = {row["key"] for row in await connection.fetch("SELECT key FROM outbox")}
    assert keys == {"release_held/spam/1.0", f"alert_raised/{alert.id}"}


async def test_of_a_project(connection: Connection) -> None:
    """A recall of a project takes all its files, also those to come, and is written down as one of the project."""
    await released(connection)
    assert (await recall(connection, None)).filenames == (WHEEL, LATER)
    assert set((await select_states(connection, SPAM)).values()) == {State.BLOCKED}
    rows = await connection.fetch("SELECT version, filename FROM decision ORDER BY id")
    assert [tuple(row) for row in rows] == [(None, None), ("1.0", WHEEL), ("2.0", LATER)]


@pytest.mark.parametrize("version", ["1.0", None])
async def test_the_same_again_changes_nothing(connection: Connection, version: str | None) -> None:
    """Who recalls what is recalled writes nothing, and raises no second alert."""
    await released(connection)
    await recall(connection, version)
    before = await select_serial(connection)
    assert str(await recall(connection, version, "once more")) == "nothing to change"
    assert await select_serial(connection) == before
    assert len(await select_alerts(connection)) == 1


async def test_what_is_blocked_can_be_recalled(connection: Connection) -> None:
    """A block becomes a recall, though no file moves."""
    await released(connection)
    await decide(connection, ADA, Decision(Choice.BLOCK, SPAM, "1.0", "odd"))
    outcome = await recall(connection)
    assert (outcome.serial, outcome.filenames) == (2, ())
    assert len(await select_alerts(connection)) == 1


async def test_what_was_never_here_is_not_recalled(connection: Connection) -> None:
    """A name or a release that is not known has reached nobody; it can be blocked."""
    await released(connection)
    with pytest.raises(NotKnown, match=r"9\.9 is not known here"):
        await recall(connection, "9.9")
    assert await select_alerts(connection) == []


# On a running index with two web processes


@dataclass
class Clients:
    """Clients that ask for a file until they are refused; each names itself."""

    url: str
    served: set[str] = field(default_factory=set)
    refused_at: list[float] = field(default_factory=list)
    odd: list[int] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, number: int) -> None:
        """Ask again and again, over a new connection each time, so that every process is asked."""
        turn = 0
        while not self._stop.is_set():
            turn += 1
            name = f"client-{number}-{turn}"
            answer = ask(self.url, User_Agent=name)
            with self._lock:
                if answer.status == 200:
                    self.served.add(name)
                elif answer.status == 403:
                    self.refused_at.append(time.monotonic())
                    return
                elif answer.status != 503:
                    self.odd.append(answer.status)

    def stop(self) -> None:
        """Let them end, refused or not."""
        self._stop.set()


@pytest.fixture(name="api")
def _api(koschey: Koschey) -> Api:
    return Api(koschey)


def test_q12_the_report_lists_exactly_those_who_took_it(koschey: Koschey, upstream: Upstream) -> None:
    """300 clients take a file, and 40 another; the report has the 300, and within a second every process refuses."""
    file, other = upstream.add("r-bad", "1.0", size=5000), upstream.add("r-bad", "2.0", size=5000)
    koschey.page("r-bad")
    names = {f"team-{number}" for number in range(300)}
    with ThreadPoolExecutor(16) as clients:
        taken = list(clients.map(lambda name: ask(koschey.url + file.path, User_Agent=name).body, sorted(names)))
        list(clients.map(lambda number: ask(koschey.url + other.path, User_Agent=f"other-{number}"), range(40)))
    assert taken == [file.content] * 300
    report = json.loads(koschey.run("recall", "--yes", "r-bad==1.0", "--reason", "it steals tokens", "--json").stdout)
    with ThreadPoolExecutor(16) as clients:
        statuses = list(clients.map(lambda _: ask(koschey.url + file.path).status, range(60)))
    assert statuses == [403] * 60
    assert report["files"] == [file.filename]
    assert {row["user_agent"] for row in report["downloads"]} == names
    assert len(report["downloads"]) == 300
    assert {row["filename"] for row in report["downloads"]} == {file.filename}
    # It is on no page any more, the other release is, and the bytes are kept.
    assert koschey.filenames("r-bad") == [other.filename]
    blob = koschey.data / f"s3/koschey/blobs/sha256/{file.sha256[:2]}/{file.sha256[2:4]}/{file.sha256}"
    assert blob.read_bytes() == file.content


def test_nobody_is_missing_who_took_it_during_the_recall(koschey: Koschey, upstream: Upstream) -> None:
    """While clients download without a pause, whoever got it is in the report, and nobody gets it a second later."""
    file = upstream.add("r-race", "1.0", size=5000)
    koschey.page("r-race")
    clients = Clients(koschey.url + file.path)
    ask(clients.url, User_Agent="first")
    clients.served.add("first")
    threads = [threading.Thread(target=clients.run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    report = json.loads(koschey.run("recall", "--yes", "r-race==1.0", "--reason", "malware", "--json").stdout)
    returned_at = time.monotonic()
    for thread in threads:
        thread.join(10)
    clients.stop()
    assert clients.odd == []
    assert len(clients.refused_at) == 8
    assert max(clients.refused_at) < returned_at + 1
    reported = {row["user_agent"] for row in report["downloads"]}
    assert clients.served <= reported
    assert len(clients.served) > 8


def test_by_the_api_and_back(koschey: Koschey, upstream: Upstream, api: Api) -> None:
    """A reviewer recalls by the API; one person cannot lift it, two can, and then it is held."""
    file = upstream.add("r-api", "1.0", size=5000)
    koschey.page("r-api")
    ask(koschey.url + file.path, User_Agent="who")
    one, two = api.token("reviewer", "r-api"), api.token("admin")
    body = {"choice": "recall", "project": "r-api", "version": "1.0", "reason": "malware", "confirm": 1}
    assert api.call("POST", "decisions", body, token=api.token("uploader")).status == 403
    answer = api.call("POST", "decisions", body, token=one)
    assert (answer.status, answer.json["files"], answer.json["waits"]) == (200, [file.filename], False)
    rows = api.call("GET", "projects/r-api/downloads", token=one, query={"version": "1.0"}).json["downloads"]
    assert [row["user_agent"] for row in rows] == ["who"]
    (alert, *_) = api.call("GET", "alerts", token=one).json["alerts"]
    assert (alert["kind"], alert["project"]) == ("recall", "r-api")
    assert "r-api" in koschey.run("alerts").stdout
    lift = body | {"choice": "unblock", "reason": "false alarm"}
    assert api.call("POST", "decisions", lift, token=one).json["waits"]
    assert api.call("POST", "decisions", lift, token=one).json["waits"]
    proposals = api.call("GET", "proposals", token=two).json["proposals"]
    assert [found["action"] for found in proposals if found["project"] == "r-api"] == ["unblock"]
    assert "r-api" in koschey.run("proposals").stdout
    assert ask(koschey.url + file.path).status == 403
    answer = api.call("POST", "decisions", lift, token=two)
    assert (answer.json["waits"], answer.json["files"]) == (False, [file.filename])
    assert koschey.state_of(file.filename) == "held"
    koschey.run("approve", "r-api==1.0", "--reason", "it was a false alarm")
    assert ask(koschey.url + file.path).body == file.content


def test_by_the_command_line(koschey: Koschey, upstream: Upstream) -> None:
    """Extend, except and their report by the command line, over the wire."""
    file = upstream.add("r-cli", "1.0", size=5000, upload_time=datetime.now(UTC) - timedelta(days=6))
    koschey.page("r-cli")
    url = koschey.url + koschey.path_of(file.filename)
    assert "1 file held longer" in koschey.run("extend", "r-cli==1.0", "--days", "30", "--reason", "we read it").stdout
    assert ask(url).status == 403
    wrong = ("--file", file.filename, "--sha256", "0" * 64)
    given = ("except", "r-cli==1.0", "--days", "5", "--ticket", "SEC-9", "--reason", "a fix")
    refused = koschey.run(*given, *wrong, check=False)
    assert (refused.returncode, "check it again" in refused.stderr) == (1, True)
    assert koschey.run(*given, "--json").stdout.count(file.filename) == 1
    assert ask(url).body == file.content
    assert koschey.filenames("r-cli") == [file.filename]
    found = [row for row in json.loads(koschey.run("exceptions", "--json").stdout) if row["project"] == "r-cli"]
    assert [(row["filename"], row["sha256"], row["ticket"]) for row in found] == [(file.filename, file.sha256, "SEC-9")]
    assert "r-cli" in koschey.run("exceptions", "--within", "6").stdout
    assert "r-cli" not in koschey.run("exceptions", "--within", "4").stdout
    koschey.run("block", "r-cli==1.0", "--reason", "no")
    assert ask(url).status == 403
    assert "r-cli" not in koschey.run("exceptions").stdout
