"""The quarantine against a reference model: any order of events, and after each one only what may be served is.

`--hypothesis-profile=long` looks for much longer, with other examples each time.
"""

import ast
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.quarantine.machine import SHORT, WITH_FEED, Quarantine
from tests.support.app_in_process import AppInProcess, Store
from tests.support.killed_processes import KillableProcess
from tests.support.postgres import Postgres
from tests.support.upstream.server import Upstream

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def guarded(postgres: Postgres, s3: Store, shared_upstream: Upstream) -> Iterator[AppInProcess]:
    """An index that follows advisories."""
    with AppInProcess(postgres, s3, shared_upstream, **WITH_FEED) as running:
        yield running


@pytest.fixture(scope="module")
def killable(guarded: AppInProcess) -> Iterator[KillableProcess]:
    """Processes beside it that can be killed."""
    with closing(KillableProcess(guarded.settings)) as living:
        living.start()
        yield living


def test_served_is_always_within_what_the_model_allows(guarded: AppInProcess, killable: KillableProcess) -> None:
    """Whatever upstream, time, people and dying processes do, I1 to I10 hold after every step."""
    machine = type("RunningQuarantine", (Quarantine,), {"app": guarded, "killable": killable})
    is_long = settings.get_current_profile_name() == "long"
    run_state_machine_as_test(machine, settings=settings.default if is_long else SHORT)


def test_no_clock_but_postgresql_s_is_asked() -> None:
    """Nothing between the upstream's page and the answer reads the time of the process's own clock."""
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in FOLDERS
        for path in (ROOT / "koschey" / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and WALL_CLOCK.search(ast.unparse(node.func))
    ]
    assert calls == []
    assert all((ROOT / "koschey" / folder).is_dir() for folder in FOLDERS)


FOLDERS = ("policy", "mirror", "serving", "quarantine", "hosting", "governance", "db", "standards")
WALL_CLOCK = re.compile(r"\b(datetime\.now|utcnow|date\.today|time\.time|time\.time_ns|localtime|gmtime)$")
