"""Faults put into the index, each of which the model test must find: so its silence means something."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partialmethod
from inspect import getmembers
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis.stateful import RULE_MARKER, run_state_machine_as_test

from tests.quarantine.machine import SHORT, WITH_FEED, Quarantine
from tests.quarantine.mutations import MUTATIONS
from tests.support.app_in_process import AppInProcess, Store
from tests.support.postgres import Postgres
from tests.support.upstream.server import Upstream


@pytest.fixture(scope="module")
def mutable(postgres: Postgres, s3: Store, shared_upstream: Upstream) -> Iterator[AppInProcess]:
    """An index to be spoilt."""
    with AppInProcess(postgres, s3, shared_upstream, **WITH_FEED) as running:
        yield running


@pytest.mark.soak
@pytest.mark.timeout(900)  # some take a hundred seconds beside other suites
@pytest.mark.parametrize("fault", MUTATIONS)
def test_model_finds_faults(mutable: AppInProcess, fault: str) -> None:
    """The steps that lead to a fault of the index find it."""
    mutation = MUTATIONS[fault]
    machine = type("MutatedQuarantine", (Quarantine,), {"app": mutable, **without_rules(mutation.kept)})
    with ExitStack() as patches:
        for where, name, mutated in mutation.patches:
            patches.enter_context(patch.object(where, name, mutated))
        budget = settings(SHORT, max_examples=mutation.examples, stateful_step_count=mutation.length)
        with pytest.raises(AssertionError):
            run_state_machine_as_test(machine, settings=budget)


def without_rules(kept: frozenset[str]) -> dict[str, Any]:
    """Return all other steps of the machine as functions that Hypothesis does not choose; steps may call each other."""
    steps = {name: step for name, step in getmembers(Quarantine) if hasattr(step, RULE_MARKER)}
    assert kept <= steps.keys()
    return {name: partialmethod(step) for name, step in steps.items() if name not in kept}
