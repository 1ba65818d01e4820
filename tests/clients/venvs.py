"""The clients of the matrix, run from the environments that `install.py` made."""

import functools
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients.install import CLIENTS, COMMAND, Client, folder, interpreter, is_installed
from tests.support import commands


def versions(*names: str) -> list[Client]:
    """All clients of these names."""
    return [client for client in CLIENTS if client.name in names]


def name_of(client: Client) -> str:
    """A client as a test's id has it."""
    return client.id


def runs_here(client: Client) -> bool:
    """Whether its environment is there or can be made."""
    return is_installed(client) or any(interpreter(version) for version in client.pythons)


@functools.cache
def home_of(client: Client) -> Path:
    """The environment of a client; a missing one fails the test with what to do, unless no Python here runs it."""
    if not is_installed(client):
        if not runs_here(client):
            pytest.skip(f"{client.id} runs on Python {' or '.join(client.pythons)}, and none is here")
        pytest.fail(f"{client.id} is not installed; run: {COMMAND}", pytrace=False)
    return folder() / client.id


def python_of(client: Client) -> str:
    """The interpreter of its environment."""
    return str(home_of(client) / "bin" / "python")


def packages_of(client: Client) -> str:
    """Where its environment keeps what is installed."""
    [folder] = home_of(client).glob("lib/python*/site-packages")
    return str(folder)


def call(
    client: Client, program: str, *arguments: str, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """Run one of its programs; raises `CalledProcessError` where it fails."""
    path = home_of(client) / "bin" / program
    return commands.run(str(path), *arguments, cwd=cwd, environment=environment)
