"""Two thousand decisions at once, while two web processes are asked: every answer was lawful when it was given (Q11).

The journal says in which order decisions took effect, and their callers between which moments each was committed. So
for every span there is a set of states that a release may have had in it. A file that came though none of them is
`released`, or was refused though all of them are, is a violation; pages may lag by a second (I3), files by nothing.
"""

import asyncio
import hashlib
import random
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from packaging.utils import NormalizedName

from koschey.db import files, projects
from koschey.db.accounts import insert_grant, upsert_account
from koschey.db.pool import Pool, open_pool
from koschey.errors import UsageError
from koschey.model import Actor, Sha256, State
from koschey.quarantine.decide import Choice, Decision, decide
from koschey.quarantine.requests import record_request
from koschey.quarantine.settle import settle
from koschey.settings import Settings
from koschey.standards.names import digest_path
from koschey.storage.s3 import OpenBucket, blob_key
from tests.support import archives
from tests.support.app_in_process import Store
from tests.support.koschey_up import JSON
from tests.support.postgres import Postgres
from tests.support.rows import WEEK, add_project, new_file, select_states
from tests.support.split_processes import SplitProcesses, split_processes
from tests.support.upstream.server import Upstream

DECISIONS = 2_000
AT_ONCE = 16
READERS = 8
PROJECTS = [NormalizedName(f"race{number}") for number in range(12)]
SEED = 20261125
RITA = Actor("rita", "signal")
WHAT = ("approve", "block", "unblock", "extend", "expire", "request")
WAYS = ("file", "HEAD", "range", "metadata", "page")
CHANGED = b"the state of the file has changed just now"
"""In a 503: the file was blocked between the verdict and its first byte."""
LAG = {"page": 1.0}
"""Seconds by which an answer may be old (I3)."""
MOVES = {
    "approve": ({State.HELD}, State.RELEASED),
    "block": ({State.HELD, State.RELEASED, State.BLOCKED}, State.BLOCKED),
    "unblock": ({State.BLOCKED}, State.HELD),
    "extend": ({State.HELD}, State.HELD),
    "released": ({State.HELD}, State.RELEASED),
    "blocked": ({State.HELD}, State.BLOCKED),
}
"""What each row of the journal does: from which states, and to which."""


class Wheel(NamedTuple):
    """The one file of a project."""

    path: str
    content: bytes
    metadata: bytes


class Move(NamedTuple):
    """A change of state, and between which moments it was committed."""

    state: State
    began: float
    ended: float


class Read(NamedTuple):
    """An answer, and between which moments it was asked for and there."""

    way: str
    project: str
    began: float
    ended: float
    served: bool


@dataclass
class Seen:
    """What was done and read."""

    spans: dict[int, tuple[float, float]] = field(default_factory=dict)
    """By serial: between which moments it was committed."""
    reads: list[Read] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    odd: list[object] = field(default_factory=list)
    """Answers that are neither the file nor a refusal."""


@dataclass
class Race:
    """What takes part."""

    pool: Pool
    client: aiohttp.ClientSession
    roots: Sequence[str]
    wheels: Mapping[NormalizedName, Wheel]
    seen: Seen = field(default_factory=Seen)


@pytest.fixture(scope="module")
def index(folder: Path, postgres: Postgres, s3: Store, shared_upstream: Upstream) -> Iterator[SplitProcesses]:
    """A database and a bucket."""
    with split_processes(folder, postgres, s3, shared_upstream) as index:
        yield index


async def fill(index: SplitProcesses, pool: Pool) -> dict[NormalizedName, Wheel]:
    """Add projects with one held and stored file each, whose windows have ended, and a reviewer."""
    given = {name.removeprefix("KOSCHEY_").lower(): value for name, value in index.settings.items()}
    wheels: dict[NormalizedName, Wheel] = {}
    async with OpenBucket(Settings.model_validate(given)) as bucket, pool.acquire() as connection:
        await bucket.ensure()
        await insert_grant(connection, await upsert_account(connection, RITA.name, None), "reviewer")
        for project in PROJECTS:
            filename, content = archives.wheel(project, "1.0")
            metadata = archives.read_core_metadata(content) or b""
            digest, beside = [Sha256(hashlib.sha256(body).hexdigest()) for body in (content, metadata)]
            await bucket.put(blob_key(digest), content)
            await bucket.put(blob_key(beside), metadata)
            now = datetime.now(UTC)
            facts: dict[str, Any] = {
                "sha256": digest,
                "size": len(content),
                "core_metadata": beside,
                "upload_time": now - 2 * WEEK,
            }
            file = new_file(filename, release_at=now - timedelta(hours=1), **facts)
            await add_project(connection, project, [file], looked_at=now + timedelta(days=3650))
            [item] = await files.select_project_files(pool, project)
            await files.update_metadata_stored(pool, item.file.id)
            wheels[project] = Wheel(digest_path(digest, filename), content, metadata)
    return wheels


async def decide_once(race: Race, chance: random.Random) -> None:
    """Make one random decision, ask for a release, or let time have its way."""
    project, what = chance.choice(PROJECTS), chance.choice(WHAT)
    began = time.monotonic()
    try:
        if what == "expire":
            serial = await expire(race.pool, project)
        elif what == "request":
            await request(race, project, chance)
            return
        else:
            days = chance.choice([1.0, 5.0]) if what == "extend" else None
            reason = chance.choice(["seen", "bad", "sorry"])
            async with race.pool.acquire() as connection:
                wanted = Decision(Choice(what), project, "1.0", reason, days=days)
                serial = (await decide(connection, RITA, wanted)).serial
    except UsageError as error:
        race.seen.refused[f"{what}: {type(error).__name__}"] += 1
        return
    if serial is not None:
        race.seen.spans[serial] = (began, time.monotonic())
        race.seen.changed[what] += 1


async def expire(pool: Pool, project: NormalizedName) -> int | None:
    """Settle a release as its workflow does; returns the serial of what that changed."""
    last = "SELECT max(serial) FROM journal WHERE project = $1"
    async with pool.acquire() as connection, connection.transaction():
        await projects.lock_project(connection, project)
        before = await connection.fetchval(last, project)
        await settle(connection, project, "1.0", WEEK)
        after: int | None = await connection.fetchval(last, project)
    return after if after != before else None


async def request(race: Race, project: NormalizedName, chance: random.Random) -> None:
    """Ask for a release; that it is served already is an answer too."""
    began, served = time.monotonic(), False
    try:
        await record_request(race.pool, project, "1.0", f"dev-{chance.randrange(20)}", "why", WEEK)
    except UsageError as error:
        served = "already served" in str(error)
        if not served:
            raise
    else:
        race.seen.changed["request"] += 1
    race.seen.reads.append(Read("request", project, began, time.monotonic(), served))


async def read_once(race: Race, chance: random.Random) -> None:
    """Ask one of the web processes for a file, or what tells of it, as an installer does."""
    project, root, way = chance.choice(PROJECTS), chance.choice(race.roots), chance.choice(WAYS)
    wheel = race.wheels[project]
    url = f"{root}/simple/{project}/" if way == "page" else root + wheel.path
    url += ".metadata" if way == "metadata" else ""
    headers = {"range": {"Range": "bytes=5-99"}, "page": {"Accept": JSON}}.get(way, {})
    expected = {"file": wheel.content, "HEAD": b"", "range": wheel.content[5:100], "metadata": wheel.metadata}
    began = time.monotonic()
    async with race.client.request("HEAD" if way == "HEAD" else "GET", url, headers=headers) as answer:
        body = await answer.read()
        if way == "page" and answer.status == 200:
            served = bool((await answer.json(content_type=None))["files"])
        else:
            served = answer.status in (200, 206)
        refused = answer.status == 403 or (answer.status == 503 and CHANGED in body) or (way == "page" and not served)
        if not (body == expected.get(way, body) if served else refused):
            race.seen.odd.append((way, answer.status, body[:200]))
    race.seen.reads.append(Read(way, project, began, time.monotonic(), served))


async def run_race(race: Race) -> None:
    """Let many decide while some read."""
    left, over = iter(range(DECISIONS)), asyncio.Event()

    async def repeat(seed: int, one: Callable[[Race, random.Random], Awaitable[None]], *, reads: bool) -> None:
        chance = random.Random(SEED + seed)
        while not over.is_set() if reads else next(left, None) is not None:
            await one(race, chance)

    reading = [asyncio.create_task(repeat(1000 + number, read_once, reads=True)) for number in range(READERS)]
    await asyncio.gather(*(repeat(number, decide_once, reads=False) for number in range(AT_ONCE)))
    over.set()
    await asyncio.gather(*reading)


@pytest.mark.soak
async def test_two_thousand_decisions_at_once(index: SplitProcesses) -> None:
    """Every journalled move is legal from the state before it, and no answer is one that was not lawful in its time."""
    roots = [index.start_web(name) for name in ("web-a", "web-b")]
    pool = await open_pool(index.settings["KOSCHEY_DATABASE_URL"], size=30)
    async with aiohttp.ClientSession() as client:
        race = Race(pool, client, roots, await fill(index, pool))
        await run_race(race)
    try:
        await check(pool, race.seen)
    finally:
        await pool.close()


async def check(pool: Pool, seen: Seen) -> None:
    """Compare the journal, the database and every answer with the model."""
    rows = await pool.fetch("SELECT serial, action, project, filename FROM journal ORDER BY serial")
    assert [row["serial"] for row in rows] == list(range(1, len(rows) + 1))
    states = dict.fromkeys(map(str, PROJECTS), State.HELD)
    moves: dict[str, list[Move]] = defaultdict(list)
    for row in rows:
        allowed, after = MOVES[row["action"]]
        if row["filename"] is None:
            continue  # a rule alone, for files to come
        assert states[row["project"]] in allowed, row
        states[row["project"]] = after
        moves[row["project"]].append(Move(after, *seen.spans[row["serial"]]))
    for project in PROJECTS:
        assert set((await select_states(pool, project)).values()) == {states[project]}
    assert set(seen.spans) == {row["serial"] for row in rows}
    decided = {row["serial"] for row in rows if row["action"] != "released"}
    assert {row["serial"] for row in await pool.fetch("SELECT DISTINCT serial FROM decision")} == decided
    assert await pool.fetchval("SELECT sum(times) FROM request") == seen.changed["request"]
    assert all(seen.changed[what] > 50 for what in ("approve", "block", "unblock", "request")), seen.changed
    assert seen.odd == []
    check_reads(seen, moves)


def check_reads(seen: Seen, moves: Mapping[str, Sequence[Move]]) -> None:
    """Find answers that no order of what happened explains, and count those for which one answer alone was right."""
    bound: Counter[tuple[str, bool]] = Counter()
    violations = []
    for read in seen.reads:
        possible = possible_states(moves[read.project], read.began - LAG.get(read.way, 0), read.ended)
        lawful = {state is State.RELEASED for state in possible}
        if read.served not in lawful:
            violations.append((read, possible))
        if len(lawful) == 1:
            bound[read.way, read.served] += 1
    assert violations == []
    assert all(bound[way, False] > 20 for way in (*WAYS, "request")), bound
    assert sum(count for (_, served), count in bound.items() if served) > 50, bound
    print(f"seed {SEED}: {dict(seen.changed)}, {seen.refused.total()} refused; {len(seen.reads)} answers")  # noqa: T201
    print("of which one alone was lawful:", {f"{way} {served}": n for (way, served), n in bound.items()})  # noqa: T201


def possible_states(moves: Sequence[Move], began: float, ended: float) -> set[State]:
    """Return the states that a release may have had between two moments.

    A move was committed at some time of its span: before it ended, the state before it may have been in force still,
    and from its beginning on its own.
    """
    first = Move(State.HELD, float("-inf"), float("-inf"))
    last = Move(State.HELD, float("inf"), float("inf"))
    return {
        move.state
        for move, following in pairwise([first, *moves, last])
        if move.began <= ended and following.ended >= began
    }


def test_the_model_tells_lawful_from_unlawful() -> None:
    """What was blocked before a request began was not released in it; what was committed meanwhile may have been."""
    moves = [Move(State.RELEASED, 1, 2), Move(State.BLOCKED, 5, 6), Move(State.HELD, 20, 21)]
    assert possible_states(moves, 0, 0.5) == {State.HELD}
    assert possible_states(moves, 3, 4) == {State.RELEASED}
    assert possible_states(moves, 4, 5.5) == possible_states(moves, 5.9, 7) == {State.RELEASED, State.BLOCKED}
    assert possible_states(moves, 6.1, 19) == {State.BLOCKED}
    assert possible_states(moves, 7 - 1, 19) == {State.RELEASED, State.BLOCKED}
    assert possible_states(moves, 22, 23) == {State.HELD}
