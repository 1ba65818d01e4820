"""Histories of workflows: replayed, and stored for later versions if that is requested."""

import json
from pathlib import Path

from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from koschey import __version__
from koschey.worker.wiring import WORKFLOWS
from tests.support.scenarios import without_machine


async def check_history(history: WorkflowHistory, folder: Path | None, name: str) -> None:
    """Replay a history, and store it if that is requested and this version has none yet."""
    await Replayer(workflows=WORKFLOWS).replay_workflow(history)
    if folder is None or (folder / f"{name}-{__version__}.json").exists():
        return
    recorded = json.loads(without_machine(history))
    (folder / f"{name}-{__version__}.json").write_text(json.dumps(recorded, indent=2) + "\n")
