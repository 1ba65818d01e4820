"""Describes the machine and the programs that took part."""

import os
import platform
from pathlib import Path

import psutil

from benchmarks.peers.environments import ROOT, uv
from benchmarks.peers.processes import ServerError, run


def describe() -> dict[str, str]:
    """Return what decides about the figures besides the contenders."""
    return {
        "machine": f"{os.cpu_count()} cores ({_processor()}), {psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "other work before the start": f"{_busy():.1f} of {os.cpu_count()} cores",
        "client": run([uv(), "--version"]).split(" (")[0].strip(),
    }


def _busy() -> float:
    return psutil.cpu_percent(interval=2) / 100 * (os.cpu_count() or 1)


def revision() -> str:
    """Return the commit of this working tree, marked if files differ from it; empty without git."""
    try:
        return run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"]).strip()
    except (ServerError, OSError):
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
