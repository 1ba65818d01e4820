"""The quarantine against a reference model: any order of events, and after each one only what may be served is.

`--hypothesis-profile=long` looks for much longer, with other examples each time.
"""

import ast
import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partialmethod
from inspect import getmembers
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RULE_MARKER, run_state_machine_as_test

from tests.quarantine.machine import Quarantine
from tests.quarantine.mutations import MUTATIONS
from tests.support.app_in_process import Inside, Store
from tests.support.killed_processes import Mortal
from tests.support.postgres import Postgres
from tests.support.upstream.server import Upstream

ROOT = Path(__file__).parents[2]
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
SHORT = settings(
    max_examples=25, stateful_step_count=30, deadline=None, derandomize=True, database=None,
    phases=[Phase.generate], report_multiple_bugs=False, suppress_health_check=QUIET, print_blob=False,
)  # fmt: skip
"""The same examples every time, so that what fails here fails everywhere."""
FEED: dict[str, Any] = {"advisories": "/nowhere/advisories.zip"}
"""That there is a feed; it is read when a step of the machine says so."""


@pytest.fixture(scope="module")
def guarded(postgres: Postgres, s3: Store, shared_upstream: Upstream) -> Iterator[Inside]:
    """An index that follows advisories."""
    with Inside(postgres, s3, shared_upstream, **FEED) as running:
        yield running


@pytest.fixture(scope="module")
def mortal(guarded: Inside) -> Iterator[Mortal]:
    """Processes beside it that can be killed."""
    with closing(Mortal(guarded.settings)) as living:
        living.start()
        yield living


@pytest.fixture(scope="module")
def mutable(postgres: Postgres, s3: Store, shared_upstream: Upstream) -> Iterator[Inside]:
    """An index to be spoilt."""
    with Inside(postgres, s3, shared_upstream, **FEED) as running:
        yield running


def test_served_is_always_within_what_the_model_allows(guarded: Inside, mortal: Mortal) -> None:
    """Whatever upstream, time, people and dying processes do, I1 to I10 hold after every step."""
    machine = type("RunningQuarantine", (Quarantine,), {"inside": guarded, "mortal": mortal})
    is_long = settings.get_current_profile_name() == "long"
    run_state_machine_as_test(machine, settings=settings.default if is_long else SHORT)


@pytest.mark.parametrize("fault", MUTATIONS)
def test_model_finds_faults(mutable: Inside, fault: str) -> None:
    """A fault in the index is found by the steps that lead to it: so the machine's silence means something."""
    mutation = MUTATIONS[fault]
    machine = type("MutatedQuarantine", (Quarantine,), {"inside": mutable, **without_rules(mutation.kept)})
    with ExitStack() as patches:
        for where, name, mutated in mutation.patches:
            patches.enter_context(patch.object(where, name, mutated))
        with pytest.raises(AssertionError):
            run_state_machine_as_test(machine, settings=settings(SHORT, max_examples=250))


def without_rules(kept: frozenset[str]) -> dict[str, Any]:
    """Return all other steps of the machine as functions that Hypothesis does not choose; steps may call each other."""
    steps = {name: step for name, step in getmembers(Quarantine) if hasattr(step, RULE_MARKER)}
    assert kept <= steps.keys()
    return {name: partialmethod(step) for name, step in steps.items() if name not in kept}


def test_no_clock_but_postgresql_s_is_asked() -> None:
    """Nothing between the upstream's page and the answer reads the time of the process's own clock."""
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ("policy", "publish", "index", "db", "standards")
        for path in (ROOT / "koschey" / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and WALL_CLOCK.search(ast.unparse(node.func))
    ]
    assert calls == []


WALL_CLOCK = re.compile(r"\b(datetime\.now|utcnow|date\.today|time\.time|time\.time_ns|localtime|gmtime)$")
