"""Real clients as child processes, without their caches and without the user's configuration."""

import os
import subprocess
import sys

from temporal import program


def pip(*arguments: str) -> str:
    """Run pip; raises `CalledProcessError` where it fails."""
    return _run(sys.executable, "-m", "pip", "--isolated", "--no-cache-dir", "--no-input", *arguments)


def uv(*arguments: str) -> str:
    """Run uv; raises `CalledProcessError` where it fails."""
    return _run(program("uv"), *arguments, "--no-cache", "--no-config", "--python", sys.executable)


def uv_publish(*arguments: str) -> str:
    """Run `uv publish`, which takes no interpreter."""
    return _run(program("uv"), "publish", "--no-cache", "--no-config", *arguments)


def twine(*arguments: str) -> str:
    """Run twine; raises `CalledProcessError` where it fails."""
    return _run(sys.executable, "-m", "twine", *arguments)


def _run(*command: str) -> str:
    hidden = ("PIP_", "UV_", "TWINE_", "KOSCHEY_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout + done.stderr
