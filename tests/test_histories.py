"""Histories of released versions, replayed by this one; `pytest --record-histories tests/test_time.py` adds to them."""

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from koschey.worker import WORKFLOWS

FOLDER = Path(__file__).parent / "histories"
HISTORIES = sorted(FOLDER.glob("*.json"))


@pytest.mark.parametrize("recorded", HISTORIES, ids=lambda path: path.stem)
async def test_recorded_history_replays(recorded: Path) -> None:
    """A workflow that an earlier version began is carried on by this one without a difference."""
    history = WorkflowHistory.from_json(recorded.stem, recorded.read_text())
    await Replayer(workflows=WORKFLOWS).replay_workflow(history)


def test_every_workflow_has_a_recorded_history() -> None:
    """No workflow escapes the replay."""
    recorded = {path.stem.partition("-")[0] for path in HISTORIES}
    assert recorded == {workflow.__module__.rpartition(".")[2] for workflow in WORKFLOWS}
