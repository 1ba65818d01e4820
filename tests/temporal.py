"""The `temporal` command, as an operator uses it against a running index."""

import shutil
import subprocess
import sys
from pathlib import Path

from running import Koschey


def program(name: str) -> str:
    """Find a program that a wheel put beside the interpreter."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    assert found, f"{name} is not installed"
    return found


def temporal(koschey: Koschey, *command: str) -> str:
    """Run `temporal` against the index's Temporal server; raises `CalledProcessError` where it fails."""
    address = koschey.settings["KOSCHEY_TEMPORAL_ADDRESS"]
    return subprocess.run(
        [program("temporal"), *command, "--address", address],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout
