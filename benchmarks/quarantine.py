"""Measures a quarantine from end to end: releases become held, are fetched, checked, wait out their window, are released.

    uv run python benchmarks/quarantine.py [--releases N] [--files N] [--server embedded|skipping|both] [--window SECONDS]

`embedded` is a whole `koschey up`, and its window really ends while we wait. `skipping` is a worker of its own under
Temporal's time-skipping server. The upstream is on loopback, and makes its tiny wheels as they are asked for.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import asyncpg
import psutil
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from running import Koschey, ask
from skipping import new_database, skipping
from upstream import Upstream

DAY = 86400.0
PER_PROJECT = 10
"""Releases of one project."""
TAGS = ("py3-none-any", "py38-none-any", "py39-none-any", "py310-none-any", "py311-none-any", "py312-none-any")
COUNTS = """
    SELECT (SELECT count(*) FROM standing) AS files,
           (SELECT count(*) FROM file WHERE stored_at IS NOT NULL) AS stored,
           (SELECT count(*) FROM standing WHERE state = 'released') AS released,
           (SELECT count(*) FROM standing WHERE state NOT IN ('held', 'released')) AS lost
"""
WRITTEN = "SELECT sum(n_tup_ins + n_tup_upd)::bigint FROM pg_stat_user_tables"
PATIENCE = 60 * 60
"""Seconds after which we give up on releases that do not come."""


@dataclass
class Usage:
    """What processes have used: seconds of CPU, and the most memory that was seen."""

    names: dict[str, list[psutil.Process]]
    cpu: dict[str, float]
    rss: dict[str, int]

    @classmethod
    def of(cls, roots: dict[str, int]) -> "Usage":
        """Watch processes with their children."""
        names = {name: [psutil.Process(pid)] for name, pid in roots.items()}
        usage = cls(names, dict.fromkeys(names, 0.0), dict.fromkeys(names, 0))
        usage.look()
        return cls(names, {name: -spent for name, spent in usage.cpu.items()}, usage.rss)

    def look(self) -> dict[str, float]:
        """Look at memory now, and return the CPU seconds used so far."""
        spent = {}
        for name, (root, *_) in self.names.items():
            family = [root, *root.children(recursive=True)] if root.is_running() else []
            spent[name] = sum(sum(each.cpu_times()[:2]) for each in family if each.is_running())
            self.rss[name] = max(self.rss[name], sum(each.memory_info().rss for each in family if each.is_running()))
        self.cpu = spent
        return spent


def fill(upstream: Upstream, releases: int, files: int) -> list[str]:
    """Publish releases of this moment, and return the names of their projects."""
    names = []
    for number in range(releases):
        project, version = f"bq-{number // PER_PROJECT}", f"1.{number % PER_PROJECT}"
        if number % PER_PROJECT == 0:
            names.append(project)
        for tag in TAGS[:files]:
            filename = f"{project.replace('-', '_')}-{version}-{tag}.whl"
            upstream.add(project, version, filename=None if tag == TAGS[0] else filename, upload_time=datetime.now(UTC))
    return names
