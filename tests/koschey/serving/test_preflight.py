"""`POST /api/v1/preflight`: every pin of a lock is answered, and what was never seen is looked up, a few at a time."""

import asyncio
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from packaging.utils import NormalizedName, canonicalize_name

from koschey.db.pool import Pool
from koschey.db.projects import select_project
from koschey.mirror.refresh import Refresher
from koschey.model import Project, State
from koschey.policy.availability import MAX_PINS, Availability, Explanation, Pin
from koschey.policy.verdict import verdict
from koschey.quarantine import explanations
from koschey.quarantine.explanations import ProjectSnapshot
from koschey.serving import preflight as preflight_module
from koschey.serving.preflight import AT_ONCE, MAX_REFRESHES, Preflight
from tests.support.api import NOBODY, Api, is_problem
from tests.support.app_in_process import AppInProcess
from tests.support.koschey_up import Koschey, wait_until
from tests.support.rows import WEEK, add_project, new_file
from tests.support.upstream.server import Upstream


def preflight(koschey: Koschey, *pins: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers for pins, without credentials."""
    answer = Api(koschey).call("POST", "preflight", {"pins": list(pins)}, token=NOBODY)
    assert answer.status == 200, answer
    return list(answer.json["pins"])


def test_every_state_is_told(koschey: Koschey, upstream: Upstream) -> None:
    """Served, held, blocked, missing and other bytes, in the order of the pins, for a project never seen before."""
    upstream.add("pf-all", "1.0")
    upstream.add("pf-all", "1.1")
    held = upstream.add("pf-all", "2.0", upload_time=datetime.now(UTC) - timedelta(hours=1))
    served, blocked, fresh, gone, other, nobody = preflight(
        koschey,
        {"name": "Pf.All", "version": "1.0.0"},
        {"name": "pf-never-blocked", "version": "1.0"},
        {"name": "pf-all", "version": "2.0", "hashes": [f"sha256:{held.sha256}"]},
        {"name": "pf-all", "version": "9.9"},
        {"name": "pf-all", "version": "1.0", "hashes": [f"sha256:{'0' * 64}"]},
        {"name": "pf-nobody-has-this", "version": "1.0"},
    )
    assert (served["project"], served["state"], served["request"]) == ("pf-all", "served", None)
    assert blocked["state"] == "missing"
    assert (fresh["state"], fresh["free"]) == ("held", "1.1")
    assert fresh["request"] == "koschey request pf-all==2.0"
    assert fresh["release_at"].startswith(f"{held.upload_time.astimezone(UTC) + timedelta(days=7):%Y-%m-%d}")
    assert (gone["state"], gone["free"]) == ("missing", "1.1")
    assert (other["state"], nobody["state"]) == ("other bytes", "missing")
    koschey.run("block", "pf-never-blocked", "--yes", "--reason", "not for us")
    [blocked] = preflight(koschey, {"name": "pf-never-blocked", "version": "1.0"})
    assert (blocked["state"], "not for us" in blocked["reason"]) == ("blocked", True)


def test_a_release_that_an_old_page_lacks_is_looked_up(koschey: Koschey, upstream: Upstream) -> None:
    """Where the last look is old, a pin that is not known is looked for once more before it is called missing."""
    upstream.add("pf-late", "1.0")
    koschey.page("pf-late")
    upstream.add("pf-late", "1.1", upload_time=datetime.now(UTC) - timedelta(hours=1))
    time.sleep(0.6)  # longer than a page of the shared index is fresh
    [late] = preflight(koschey, {"name": "pf-late", "version": "1.1"})
    assert late["state"] == "held"


def test_unknown_names_are_looked_up_a_few_at_a_time(koschey: Koschey, upstream: Upstream) -> None:
    """A lock of names that were never seen asks the upstream for no more than four pages at once."""
    names = [f"pf-many-{number}" for number in range(12)]
    for name in names:
        upstream.add(name, "1.0")
    hold = upstream.hold("pf-many-*")
    api = Api(koschey)
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    body = {"pins": [{"name": name, "version": "1.0"} for name in names]}
    with ThreadPoolExecutor(1) as executor:
        running = executor.submit(api.call, "POST", "preflight", body, token=NOBODY)
        try:
            wait_until(lambda: upstream.count("pf-many-*") == AT_ONCE)
            time.sleep(0.5)
            assert upstream.count("pf-many-*") == AT_ONCE
        finally:
            hold.release()
        answer = running.result()
    assert {pin["state"] for pin in answer.json["pins"]} == {"served"}
    assert upstream.count("pf-many-*") == len(names)


@pytest.mark.parametrize("silent", [False, True], ids=["missing", "silent"])
def test_list_of_unknown_names_costs_little(
    app: AppInProcess, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    """1,500 names that nobody has: some are looked up, nothing is read for the others, and installers go on."""
    kind, read = f"pf-{silent}".lower(), list[str]()
    monkeypatch.setattr(preflight_module, "PATIENCE", 4)

    async def load_snapshot(pool: Pool, name: NormalizedName, usual: timedelta) -> ProjectSnapshot:
        read.append(name)
        return await explanations.load_snapshot(pool, name, usual)

    monkeypatch.setattr(preflight_module, "load_snapshot", load_snapshot)
    if silent:
        upstream.fault(f"{kind}-stranger-*", delay=600)
    for number in range(3):
        upstream.add(f"{kind}-cold-{number}", "1.0")
    pins = [Pin(canonicalize_name(f"{kind}-stranger-{number}"), "1.0") for number in range(1500)]

    async def run() -> tuple[list[Explanation], list[int]]:
        asking = asyncio.create_task(app.resources.preflight.check(pins))
        await asyncio.sleep(0.5)
        cold = [(await app._follow("GET", f"/simple/{kind}-cold-{number}/", {}, b""))[-1] for number in range(3)]
        return await asking, [answer.status for answer in cold]

    told, statuses = app.run(run())
    assert statuses == [200] * 3
    assert {said.state for said in told} <= {Availability.MISSING, Availability.UNKNOWN}
    looked_up = upstream.count(f"{kind}-stranger-*")
    assert len(read) <= looked_up <= MAX_REFRESHES
    assert sum(said.state is Availability.UNKNOWN for said in told) >= 1500 - MAX_REFRESHES
    if not silent:
        assert looked_up > AT_ONCE


def test_lists_of_one_client_share_its_looks(app: AppInProcess, upstream: Upstream) -> None:
    """Whoever sends many lists at once gets no more looks side by side than with one."""
    upstream.fault("pf-shared-*", delay=600)
    lists = [[Pin(canonicalize_name(f"pf-shared-{one}-{two}"), "1.0") for two in range(5)] for one in range(5)]
    turns = app.resources.upstream._turns

    async def run() -> int:
        await app.resources.refresher.close()
        tasks = [asyncio.create_task(app.resources.preflight.check(pins)) for pins in lists]
        await asyncio.sleep(1)
        fetched = len(turns._occupied)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await app.resources.refresher.close()
        return fetched

    assert app.run(run()) == AT_ONCE


async def test_a_long_list_costs_what_the_files_cost(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of pins of one project read and judge its files once, in a thread."""
    name, threads, calls = canonicalize_name("told"), set[str](), list[object]()
    versions = [f"1.{number}" for number in range(300)]
    rows = [new_file(f"told-{version}-py3-none-any.whl", State.RELEASED) for version in versions]
    async with pool.acquire() as connection:
        await add_project(connection, "told", rows)

    def judge(*given: Any) -> Any:
        threads.add(threading.current_thread().name)
        calls.append(given)
        return verdict(*given)

    monkeypatch.setattr(explanations, "verdict", judge)
    looks = cast(Refresher, Fresh(pool))
    told = await Preflight(pool, looks, WEEK, 600).check([Pin(name, f"1.{number}") for number in range(MAX_PINS)])
    assert [(said.state, said.free) for said in told[298:301]] == [
        (Availability.SERVED, None),
        (Availability.SERVED, None),
        (Availability.MISSING, "1.299"),
    ]
    # Once for each file and once for what is free, before and after the look for those that are missing.
    assert len(calls) <= 2 * 2 * len(versions)
    assert threading.main_thread().name not in threads


class Fresh:
    """In place of the refresher: every page was looked at just now."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def find(self, name: NormalizedName) -> Project | None:
        return await select_project(self.pool, name)

    async def refresh(self, name: NormalizedName, *, since: datetime) -> Project | None:
        assert since <= datetime.now(UTC)
        return await self.find(name)


def test_an_upstream_that_is_away_is_told_as_such(koschey: Koschey, upstream: Upstream) -> None:
    """What cannot be looked up is unknown, never missing; what is known is told all the same."""
    upstream.add("pf-here", "1.0")
    koschey.page("pf-here")
    upstream.fault("pf-away", status=503)
    here, away = preflight(koschey, {"name": "pf-here", "version": "1.0"}, {"name": "pf-away", "version": "1.0"})
    assert (here["state"], away["state"]) == ("served", "unknown")
    assert away["reason"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"pins": [{"name": "a", "version": "1"}] * (MAX_PINS + 1)}, 400),
        ({"pins": [{"name": "../x", "version": "1"}]}, 400),
        ({"pins": [{"name": "a", "version": "1\0"}]}, 400),
        ({"pins": [{"name": "a", "version": "1", "hashes": ["sha256:zz"]}]}, 400),
        ({"pins": [{"name": "a", "version": "1", "extra": 1}]}, 400),
        ({}, 400),
        ({"pins": [{"name": "a", "version": "1", "hashes": [f"sha256:{'0' * 64}"] * 20_000}]}, 413),
    ],
    ids=range(7),
)
def test_bad_lists(koschey: Koschey, body: object, status: int) -> None:
    """A list that is too long, or not as documented, is refused as a problem."""
    assert is_problem(Api(koschey).call("POST", "preflight", body, token=NOBODY), status)


def test_a_long_lock_is_answered(koschey: Koschey, upstream: Upstream) -> None:
    """Five thousand pins of known projects are answered in one request, and no pins are no error."""
    upstream.add("pf-long", "1.0")
    koschey.page("pf-long")
    pins = [{"name": "pf-long", "version": f"1.{number}"} for number in range(MAX_PINS)]
    answers = preflight(koschey, *pins)
    assert [answer["state"] for answer in answers[:2]] == ["served", "missing"]
    assert len(answers) == MAX_PINS
    assert preflight(koschey) == []


def test_wrong_credentials_are_not_anonymous(koschey: Koschey) -> None:
    """Where everybody may read, a login is not needed, but a wrong one is told."""
    answer = Api(koschey).call("POST", "preflight", {"pins": []}, token="kos_wrong")
    assert is_problem(answer, 401)
    assert json.loads(answer.body)["detail"]
