"""Turns at an upstream: names for which it is silent keep nobody else's pages from coming."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koschey.errors import KoscheyError
from koschey.upstream import turns
from koschey.upstream.turns import CLIENT, Turn, Turns
from tests.support.app_in_process import AppInProcess
from tests.support.upstream.server import Upstream
from tests.support.waiting import eventually

PLACES = 4
SILENT = 500


@pytest.fixture(autouse=True)
def quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundredths in place of seconds, but for what is tested with a real upstream."""
    if "app" not in request.fixturenames:
        monkeypatch.setattr(turns, "LEAST", 0.02)
        monkeypatch.setattr(turns, "EVERY", 0.002)


@pytest.fixture(name="mirrored")
def _mirrored(shared_upstream: Upstream) -> Iterator[Upstream]:
    """The upstream of the whole index."""
    yield shared_upstream
    shared_upstream.clear_faults()


@contextmanager
def asked_by(client: str) -> Iterator[None]:
    """Fetch on somebody's behalf."""
    token = CLIENT.set(client)
    yield
    CLIENT.reset(token)


class Fetches:
    """Fetches that take a turn, and what became of them."""

    def __init__(self, places: int = PLACES) -> None:
        self.turns = Turns(places)
        self.begun: list[str] = []
        self.ended: dict[str, str] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.places: dict[str, Turn] = {}

    def start(self, client: str, *names: str, seconds: float = 60) -> None:
        """Begin fetches that hear nothing for so long, each after the one before."""
        with asked_by(client):
            for name in names:
                self.tasks[name] = asyncio.create_task(self._fetch(name, seconds))

    async def _fetch(self, name: str, seconds: float) -> None:
        try:
            async with self.turns.acquire(name) as turn:
                self.begun.append(name)
                self.places[name] = turn
                await asyncio.sleep(seconds)
            self.ended[name] = "done"
        except KoscheyError as error:
            self.ended[name] = type(error).__name__

    async def close(self) -> None:
        """End all, and see that no place was lost."""
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        assert (self.turns._free, self.turns._occupied, dict(self.turns._waiting)) == (PLACES, set(), {})


def many(name: str, count: int) -> list[str]:
    """Names of one kind."""
    return [f"{name}-{number}" for number in range(count)]


async def test_silent_names_do_not_keep_another_client_waiting() -> None:
    """With hundreds of silent fetches of one client in front, another client's fetch is the next."""
    fetches = Fetches()
    fetches.start("mallory", *many("silent", SILENT))
    await eventually(lambda: len(fetches.begun) == PLACES)
    fetches.start("alice", "wanted", seconds=0)
    await eventually(lambda: "wanted" in fetches.ended)
    assert fetches.ended["wanted"] == "done"
    assert fetches.begun.index("wanted") <= PLACES + 1
    await fetches.close()


async def test_newest_fetch_of_one_client_is_next() -> None:
    """Behind one address, as of a proxy, what was begun last comes first: for that a client still waits."""
    fetches = Fetches()
    fetches.start("proxy", *many("silent", 100))
    await eventually(lambda: len(fetches.begun) == PLACES)
    fetches.start("proxy", "wanted", seconds=0)
    await eventually(lambda: "wanted" in fetches.ended)
    assert fetches.ended["wanted"] == "done"
    assert fetches.begun.index("wanted") <= PLACES + 1
    await fetches.close()


async def test_clients_come_in_turn() -> None:
    """Whoever wants many pages gets one place for each of every other client's."""
    fetches = Fetches()
    fetches.start("mallory", *many("silent", PLACES))
    await eventually(lambda: len(fetches.begun) == PLACES)
    fetches.start("mallory", *many("more", 20))
    fetches.start("alice", *many("alice", 3))
    fetches.start("bob", *many("bob", 3))
    await eventually(lambda: len(fetches.begun) >= PLACES + 9)
    owners = [name.partition("-")[0] for name in fetches.begun[PLACES : PLACES + 9]]
    assert owners == ["more", "alice", "bob"] * 3
    await fetches.close()


async def test_nothing_is_given_up_while_nobody_waits() -> None:
    """An upstream may be as slow as it likes where there are places for all."""
    fetches = Fetches()
    fetches.start("alice", *many("slow", PLACES), seconds=0.2)
    await eventually(lambda: len(fetches.ended) == PLACES)
    assert set(fetches.ended.values()) == {"done"}
    await fetches.close()


async def test_fetch_that_hears_something_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where others wait, the fetches that have heard nothing give their places up, and those that have do not."""
    monkeypatch.setattr(turns, "LEAST", 0.3)  # a busy machine may be late with what they hear
    fetches = Fetches()
    fetches.start("alice", *many("large", 2), seconds=1.0)
    fetches.start("alice", *many("silent", 20))
    for _ in range(100):
        await asyncio.sleep(0.01)
        for name in ("large-0", "large-1"):
            fetches.places[name].hear()
    await eventually(lambda: {"large-0", "large-1"} <= set(fetches.ended))
    assert (fetches.ended.pop("large-0"), fetches.ended.pop("large-1")) == ("done", "done")
    assert "UpstreamUnavailable" in fetches.ended.values()
    await fetches.close()


async def test_client_with_the_most_places_gives_up_first() -> None:
    """One slow page of a client outlives the silent ones of another, though it has heard nothing for longer."""
    fetches = Fetches()
    fetches.start("alice", "slow", seconds=0.5)
    await asyncio.sleep(0.01)
    fetches.start("mallory", *many("silent", 100))
    await eventually(lambda: "slow" in fetches.ended)
    assert fetches.ended["slow"] == "done"
    assert "UpstreamUnavailable" in fetches.ended.values()
    await fetches.close()


async def test_waiting_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fetch that gets no place in time is `Busy`, and so is the oldest of more than one client may have waiting."""
    monkeypatch.setattr(turns, "LEAST", 60)
    monkeypatch.setattr(turns, "MAX_WAITING", 10)
    fetches = Fetches()
    fetches.start("mallory", *many("silent", PLACES + 11))
    await eventually(lambda: fetches.ended)
    assert fetches.ended == {f"silent-{PLACES}": "Busy"}
    monkeypatch.setattr(turns, "PATIENCE", 0.05)
    fetches.start("alice", "late")
    await eventually(lambda: "late" in fetches.ended)
    assert fetches.ended["late"] == "Busy"
    await fetches.close()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0, 0.005, 60]), st.booleans()), max_size=40))
def test_no_place_is_lost(wanted: list[tuple[str, float, bool]]) -> None:
    """Whatever is fetched, given up and cancelled in whichever moment, all places are free in the end."""

    async def run() -> None:
        fetches = Fetches()
        for number, (client, seconds, cancelled) in enumerate(wanted):
            fetches.start(client, f"{client}-{number}", seconds=seconds)
            await asyncio.sleep(0.001 * (number % 3))
            if cancelled:
                fetches.tasks[sorted(fetches.tasks)[number // 2]].cancel()
        await fetches.close()

    asyncio.run(run())


async def test_own_timeout_stays_one() -> None:
    """A timeout of the work itself is not taken for a place that was given up."""
    with pytest.raises(TimeoutError):
        async with Turns(1).acquire("x"), asyncio.timeout(0):
            await asyncio.sleep(1)


def test_cold_page_comes_while_unknown_names_are_silent(app: AppInProcess, mirrored: Upstream) -> None:
    """Five hundred names of which the upstream says nothing: cold pages come, for clients of the same address too."""
    wanted = many("tu-wanted", 5)
    for name in wanted:
        mirrored.add(name, "1.0")
    mirrored.fault("tu-silent-*", delay=600)

    async def ask(name: str) -> int:
        return (await app._follow("GET", f"/simple/{name}/", {}, b""))[-1].status

    def arrived(tasks: list[asyncio.Task[int]]) -> int:
        waiting = sum(map(len, upstream_turns._waiting.values()))
        return waiting + len(upstream_turns._occupied) + sum(task.done() for task in tasks)

    async def run() -> tuple[list[int], set[str]]:
        silent = [asyncio.create_task(ask(name)) for name in many("tu-silent", SILENT)]
        await eventually(lambda: arrived(silent) >= SILENT - 20, seconds=60)
        askers = {turn.client for turn in upstream_turns._occupied}
        found = await asyncio.wait_for(asyncio.gather(*map(ask, wanted)), 60)
        await app.resources.refresher.close()
        assert set(await asyncio.gather(*silent)) == {503}
        return found, askers

    upstream_turns = app.resources.upstream._turns
    assert app.run(run()) == ([200] * len(wanted), {"127.0.0.1"})
    assert (upstream_turns._free, upstream_turns._occupied) == (turns.PLACES, set())
