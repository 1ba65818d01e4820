"""The quarantine against a reference model: any order of events, and after each one only what may be served is.

`--hypothesis-profile=long` looks for much longer, with other examples each time.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from inside import Inside, Store
from machine import Quarantine
from parts import Postgres
from upstream import Upstream

from koschey.db import files
from koschey.index import served
from koschey.index.cache import ProjectCache
from koschey.model import File, Standing, StandingFile, State
from koschey.policy import admission, verdict
from koschey.policy.verdict import Verdict
from koschey.publish import settle
from koschey.web import files as web_files

ROOT = Path(__file__).parents[2]
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
SHORT = settings(
    max_examples=25, stateful_step_count=30, deadline=None, derandomize=True, database=None,
    phases=[Phase.generate], suppress_health_check=QUIET, print_blob=False,
)  # fmt: skip
"""The same examples every time, so that what fails here fails everywhere."""


@pytest.fixture(scope="module")
def mutable(postgres: Postgres, s3: Store, shared_upstream: Upstream) -> Iterator[Inside]:
    """An index to be spoilt."""
    with Inside(postgres, s3, shared_upstream) as running:
        yield running


def test_served_is_always_within_what_the_model_allows(inside: Inside) -> None:
    """Whatever upstream, time, people and dying processes do, I1 to I10 hold after every step."""
    machine = type("RunningQuarantine", (Quarantine,), {"inside": inside})
    is_long = settings.get_current_profile_name() == "long"
    run_state_machine_as_test(machine, settings=settings.default if is_long else SHORT)


JUDGE = verdict.verdict


def serve_blocked(file: File, standing: Standing, *rest: Any) -> Verdict:
    """A verdict that forgets blocks."""
    judged = JUDGE(file, standing, *rest)
    return replace(judged, served=True) if standing.state is State.BLOCKED and file.path else judged


def serve_held(file: File, standing: Standing, *rest: Any) -> Verdict:
    """A verdict that lets what waits onto the page."""
    judged = JUDGE(file, standing, *rest)
    return replace(judged, served=True) if judged.state is State.HELD and file.path and file.sha256 else judged


def release_early(file: File, *_: Any) -> Verdict:
    """A verdict for which every window has ended."""
    return Verdict(bool(file.sha256 and file.path), State.RELEASED, "too early")


def believe_upload_time(upload_time: datetime | None, first_seen_at: datetime, *_: Any, **__: Any) -> datetime:
    """A window that counts from whatever the upstream says."""
    return upload_time or first_seen_at


async def give_unseen(_: File) -> None:
    """A file that is given without asking PostgreSQL once more, which alone would refuse it."""


async def move_silently(connection: Any, _: Any, due: Sequence[tuple[StandingFile, Verdict]]) -> None:
    """A settling that tells nobody."""
    for item, judgement in due:
        await files.update_states(connection, [item.file.id], judgement.state, judgement.reason)


MUTATIONS: dict[str, list[tuple[Any, str, Any]]] = {
    "files that are blocked are served": [
        (web_files, "verdict", serve_blocked),
        (web_files, "record_download", give_unseen),
    ],
    "the page lists what is held": [(served, "verdict", serve_held)],
    "what is held is given to who knows the path": [(web_files, "verdict", serve_held)],
    "time releases too early": [(verdict, "_judge_by_time", release_early)],
    "an upload time is believed": [(admission, "window_start", believe_upload_time)],
    "a page is never forgotten": [(ProjectCache, "forget", lambda *_: None)],
    "a move is not journalled": [(settle, "_move", move_silently)],
}
"""Faults, one at a time, that the machine must find."""


@pytest.mark.parametrize("fault", MUTATIONS)
def test_model_finds_faults(mutable: Inside, fault: str) -> None:
    """A fault in the index is found within the bounds of the first test: so its silence means something."""
    machine = type("MutatedQuarantine", (Quarantine,), {"inside": mutable})
    with ExitStack() as patches:
        for where, name, mutated in MUTATIONS[fault]:
            patches.enter_context(patch.object(where, name, mutated))
        with pytest.raises(AssertionError):
            run_state_machine_as_test(machine, settings=SHORT)


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
