"""Runs real clients as child processes, without their caches and without the user's configuration."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.support.temporal_cli import program

HIDDEN = ("PIP_", "UV_", "TWINE_", "KOSCHEY_", "POETRY_", "PDM_", "HATCH_", "FLIT_", "DEVPI", "BANDERSNATCH", "XDG_")
"""Prefixes of variables by which a user configures clients."""
TRUST = ("SSL_CERT_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Prefixes of variables that name trusted certificates; requests prefers them to an option of its caller."""


def pip(*arguments: str) -> str:
    """Run pip. Raises `CalledProcessError` if it fails."""
    return run(sys.executable, "-m", "pip", "--isolated", "--no-cache-dir", "--no-input", *arguments)


def uv(*arguments: str) -> str:
    """Run uv. Raises `CalledProcessError` if it fails."""
    return run(program("uv"), *arguments, "--no-cache", "--no-config", "--python", sys.executable)


def uv_publish(*arguments: str) -> str:
    """Run `uv publish`, which has no option for an interpreter."""
    return run(program("uv"), "publish", "--no-cache", "--no-config", *arguments)


def twine(*arguments: str) -> str:
    """Run twine. Raises `CalledProcessError` if it fails."""
    return run(sys.executable, "-m", "twine", *arguments)


def run(*command: str, cwd: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Run a client in an empty home, and return its output. Raises `CalledProcessError` if it fails."""
    with tempfile.TemporaryDirectory(prefix="koschey-home-", ignore_cleanup_errors=True) as home:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=cwd,
            env=isolated(Path(home)) | dict(environment or {}),
        )
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout + done.stderr


def run_koschey(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the `koschey` command, and return also a failure; without an environment, in that of the tests."""
    command = [sys.executable, "-m", "koschey", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)


def isolated(home: Path) -> dict[str, str]:
    """An environment in which a client finds only the configuration that its test gives it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(HIDDEN + TRUST)}
    folders = dict.fromkeys(
        ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_DIRS"), str(home)
    )
    kept.pop("VIRTUAL_ENV", None)
    return {
        **kept,
        **folders,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        # No key ring of the desktop is used.
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        "NO_COLOR": "1",
        "COLUMNS": "400",
    }
