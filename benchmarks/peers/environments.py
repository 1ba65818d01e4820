"""Installs each contender with uv into a virtual environment of its own, once, and says which version that is."""

import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.processes import run

ROOT = Path(__file__).parents[2]
VERSION = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
INSTALLED = "import importlib.metadata as m; print(*(f'{d.name} {d.version}' for d in m.distributions()), sep='\\n')"
STAMP = "installed-from"


def uv() -> str:
    """Return the path of uv."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise RuntimeError("uv is not installed; it comes with `uv sync`")
    return found


def install(folder: Path, name: str, requirements: Sequence[str]) -> Path:
    """Return the folder of the programs of an environment with these requirements; make it if it is missing."""
    environment = folder / name
    stamp = environment / STAMP
    wanted = _identity(requirements)
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(environment, ignore_errors=True)
        user = dict(os.environ)  # which index is used is the user's business
        run([uv(), "venv", "--quiet", "--python", sys.executable, str(environment)], user)
        command = [uv(), "pip", "install", "--quiet", "--python", str(environment / "bin" / "python")]
        run([*command, *requirements], user)
        stamp.write_text(wanted)
    return environment / "bin"


def version(programs: Path, distribution: str) -> str:
    """Return the version of a distribution in an environment."""
    return run([str(programs / "python"), "-c", VERSION, distribution]).strip()


def versions(programs: Path, among: Sequence[str]) -> dict[str, str]:
    """Return the versions of those of these distributions that an environment has."""
    lines = (line.split(" ") for line in run([str(programs / "python"), "-c", INSTALLED]).splitlines())
    return {name.lower(): found for name, found in lines if name.lower() in among}


def _identity(requirements: Sequence[str]) -> str:
    # What this working tree needs is in its pyproject.toml.
    own = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest() if "--editable" in requirements else ""
    return "\n".join([*requirements, sys.version, own])
