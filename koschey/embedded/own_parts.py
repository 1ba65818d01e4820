"""The parts that are our own processes: migrate, web and worker, as `python -m koschey`."""

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

import koschey
from koschey.addresses import READY
from koschey.db.migrate import PATIENCE
from koschey.embedded.child import Child, Part
from koschey.embedded.environment import own_environment
from koschey.embedded.probe import http_status, reachable_host
from koschey.settings import Settings


def migrate_part(folder: Path, values: Mapping[str, str]) -> Part:
    """Describe the process that migrates the database and the bucket to this version, and ends."""
    common = _common(folder, values, "migrate")
    return Part(name="migrate", title="the migration", patience=PATIENCE, **common)


def web_part(folder: Path, values: Mapping[str, str], settings: Settings) -> Part:
    """Describe the process that serves HTTP."""
    host = reachable_host(settings.host)

    def is_ready(_: Child) -> bool:
        return http_status(host, settings.port, READY) == 200

    common = _common(folder, values, "web")
    # It has child processes, which only it can stop with it; it kills those that do not obey.
    return Part(name="web", title="web", is_ready=is_ready, orphan_signal=signal.SIGTERM, **common)


def worker_part(folder: Path, values: Mapping[str, str]) -> Part:
    """Describe the process that runs workflows and activities."""
    common = _common(folder, values, "worker")
    return Part(name="worker", title="worker", is_ready=Child.said_ready, says_when_ready=True, **common)


class _Common(TypedDict):
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    log: Path


def _common(folder: Path, values: Mapping[str, str], command: str) -> _Common:
    # Without `-P`, Python would import a folder `workflows` in the user's working directory instead of ours.
    safe = () if Path.cwd() == Path(koschey.__file__).parents[1] else ("-P",)
    return {
        "command": (sys.executable, *safe, "-m", "koschey", command),
        "environment": own_environment(folder, values),
        "folder": Path.cwd(),
        "log": folder / "logs" / f"{command}.log",
    }
