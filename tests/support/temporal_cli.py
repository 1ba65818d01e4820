"""Runs the `temporal` command as an operator does, against a running index."""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests.support.koschey_up import Koschey


def program(name: str) -> str:
    """Find a program that a wheel put beside the interpreter."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    assert found, f"{name} is not installed"
    return found


def temporal(koschey: Koschey, *command: str) -> str:
    """Run `temporal` against the index's Temporal server. Raises `CalledProcessError` if it fails."""
    address = koschey.settings["KOSCHEY_TEMPORAL_ADDRESS"]
    return subprocess.run(
        [program("temporal"), *command, "--address", address],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout


def review(
    koschey: Koschey, choice: str, *releases: tuple[str, str], reason: str = "seen", days: float | None = None
) -> dict[str, Any]:
    """The argument of a signal or an update for a decision of the admin, with a code from the API."""
    wanted = [{"project": project, "version": version} for project, version in releases]
    body = {"choice": choice, "releases": wanted, "reason": reason, "days": days}
    login = base64.b64encode(f"admin:{koschey.ready['admin_password']}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
    with urlopen(Request(f"{koschey.url}/api/v1/codes", json.dumps(body).encode(), headers), timeout=60) as answer:
        given: dict[str, Any] = json.loads(json.load(answer)["input"])
    return given
