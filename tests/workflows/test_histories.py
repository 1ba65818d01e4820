"""Histories that were recorded once, replayed by the workflows of today.

A workflow whose recorded histories do not replay any more takes a new type name; its old name joins
`koschey.worker.superseded.SUPERSEDED`, and its recordings go with it. After that, or with a new version,

    pytest -n 0 --record-histories tests/workflows/test_histories.py tests/workflows/test_time.py \
        tests/koschey/mirror/test_follower.py tests/koschey/quarantine/test_advisories.py

adds what is missing. It writes over no recording: each is of code that ran somewhere.
"""

import itertools
import zipfile
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from koschey import __version__
from koschey.worker.wiring import WORKFLOWS
from tests.support.bound_processes import bound_program
from tests.support.scenarios import record, scenarios
from tests.support.temporal_cli import program

FOLDER = Path(__file__).parent / "histories"
HISTORIES = sorted(FOLDER.glob("*.json"))
LIVES = sorted(FOLDER.glob("*.zip"))
LARGEST = 3_000_000
"""Bytes that all recordings may take."""


def entries() -> list[tuple[Path, str]]:
    """Every history in an archive of them."""
    return [(path, name) for path in LIVES for name in zipfile.ZipFile(path).namelist()]


@pytest.mark.parametrize("recorded", HISTORIES, ids=lambda path: path.stem)
async def test_recorded_history_replays(recorded: Path) -> None:
    """A workflow that an earlier version began is carried on by this one without a difference."""
    history = WorkflowHistory.from_json(recorded.stem, recorded.read_text())
    await Replayer(workflows=WORKFLOWS).replay_workflow(history)


@pytest.mark.parametrize(("archive", "name"), entries(), ids=lambda part: getattr(part, "stem", part))
async def test_recorded_life_replays(archive: Path, name: str) -> None:
    """A quarantine that an earlier version drove to its end, in whatever way, replays without a difference (F11)."""
    history = WorkflowHistory.from_json(name.removesuffix(".json"), zipfile.ZipFile(archive).read(name).decode())
    await Replayer(workflows=WORKFLOWS).replay_workflow(history)


@pytest.mark.parametrize("archive", LIVES, ids=lambda path: path.stem)
def test_fifty_lives_of_each_version(archive: Path) -> None:
    """There are enough histories of every version, no two of them the same, and none tells of a machine."""
    opened = zipfile.ZipFile(archive)
    bodies = [opened.read(name).decode() for name in opened.namelist()]
    shapes = {tuple(event.event_type for event in WorkflowHistory.from_json("x", body).events) for body in bodies}
    assert len(bodies) >= 50
    assert len(shapes) >= 20
    assert not [body for body in bodies if "stackTrace" in body or '"identity"' in body or ".py" in body]


def test_recordings_are_small() -> None:
    """All histories together are no burden for the repository."""
    assert sum(path.stat().st_size for path in [*HISTORIES, *LIVES]) < LARGEST


def test_every_workflow_has_a_recorded_history() -> None:
    """No workflow escapes the replay."""
    recorded = {path.stem.partition("-")[0] for path in HISTORIES}
    assert recorded == {workflow.__module__.rpartition(".")[2] for workflow in WORKFLOWS}


async def test_lives_of_this_version_are_recorded(record_histories: Path | None, tmp_path: Path) -> None:
    """This version lives all lives to their end, and what it leaves replays; where that is asked for, it is kept."""
    every = [*scenarios()]
    lives = every if record_histories else every[::9]
    target = _free_name(record_histories or tmp_path)
    await record(lives, Path(bound_program(program("temporal-test-server"))), target)
    archive = zipfile.ZipFile(target)
    assert len(archive.namelist()) == len(lives)
    for name in archive.namelist():
        history = WorkflowHistory.from_json(name.removesuffix(".json"), archive.read(name).decode())
        await Replayer(workflows=WORKFLOWS).replay_workflow(history)


def _free_name(folder: Path) -> Path:
    for number in itertools.count(1):
        path = folder / f"quarantine-{__version__}{f'.{number}' if number > 1 else ''}.zip"
        if not path.exists():
            return path
    raise AssertionError
