"""Installs the clients of the matrix, each into a virtual environment of its own: the one step that asks a registry.

    uv run python tests/clients/install.py

Safe to repeat: what is there with the same pins is left alone. The environments lie in `.clients/` of the checkout, or
where `KOSCHEY_CLIENTS` says.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COMMAND = "uv run python tests/clients/install.py"
PINS = "koschey-pins.txt"
"""In each environment: what it was made of; written last, so that half an environment is none."""


@dataclass(frozen=True)
class Client:
    """One client at one version."""

    name: str
    version: str
    pythons: tuple[str, ...] = ("3.12", "3.13")
    """Versions of Python that it runs on, the one to prefer first."""
    also: tuple[str, ...] = ()
    """What it needs beside what it asks for."""

    @property
    def id(self) -> str:
        """Its name and version, as its environment's folder is called."""
        return f"{self.name}-{self.version}"

    @property
    def requirements(self) -> list[str]:
        """What is installed."""
        return [f"{self.name}=={self.version}", *self.also]


CLIENTS = (
    Client("pip", "22.2.2", pythons=("3.11", "3.10")),  # the first to read JSON; 3.12 has no distutils for it
    Client("pip", "23.2.1"),
    Client("pip", "25.3"),
    Client("pip", "26.1.2"),
    Client("pip", "26.3"),
    Client("uv", "0.5.31"),
    Client("uv", "0.12.24"),
    Client("uv", "0.13.9"),
    Client("poetry", "1.8.5"),
    Client("poetry", "2.5.1"),
    Client("pdm", "2.29.4", also=("hishel[httpx2]<2",)),
    Client("pip-tools", "7.6.2", also=("pip==26.3",)),
    Client("pypi-simple", "1.8.0"),
    Client("hexora", "0.3.2"),
    Client("twine", "5.1.1"),
    Client("twine", "6.2.0"),
    Client("twine", "7.0.0"),
    Client("hatch", "1.18.2"),
    Client("flit", "3.12.0", also=("flit-core<4",)),
    Client("flit", "4.2.0"),
    Client("bandersnatch", "6.8.0", also=("setuptools<81",)),  # finds its plug-ins with pkg_resources
    Client("bandersnatch", "8.2.0"),
    Client("devpi-server", "6.20.3"),
)


def folder() -> Path:
    """Where the environments lie."""
    return Path(os.environ.get("KOSCHEY_CLIENTS") or Path(__file__).parents[2] / ".clients").absolute()


def client(name: str, version: str) -> Client:
    """One client of the table."""
    return next(client for client in CLIENTS if (client.name, client.version) == (name, version))


def is_installed(client: Client) -> bool:
    """Whether its environment is there, whole and of these pins."""
    pins = folder() / client.id / PINS
    return pins.is_file() and pins.read_text().split("\n") == client.requirements


def install(client: Client) -> bool:
    """Make the environment of a client; False where no Python is here that it runs on."""
    home = folder() / client.id
    shutil.rmtree(home, ignore_errors=True)
    python = next(_interpreters(client), None)
    if python is None:
        return False
    _uv("venv", "--python", python, "--no-python-downloads", str(home))
    _uv("pip", "install", "--python", str(home / "bin" / "python"), *client.requirements)
    (home / PINS).write_text("\n".join(client.requirements))
    return True


def _interpreters(client: Client) -> Iterator[str]:
    for version in client.pythons:
        if found := interpreter(version):
            yield found


def interpreter(version: str) -> str | None:
    """The path of an interpreter of that version, or None where the system has none."""
    done = subprocess.run(
        [_program(), "python", "find", "--no-python-downloads", "--no-project", "--system", version],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else None


def _uv(*arguments: str) -> None:
    subprocess.run([_program(), *arguments, "--quiet"], check=True)


def _program() -> str:
    found = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    assert found, "uv is not installed"
    return found


def main() -> None:
    """Install all that is missing."""
    folder().mkdir(parents=True, exist_ok=True)
    for number, client in enumerate(CLIENTS, 1):
        if is_installed(client):
            said = "is there"
        elif install(client):
            said = "installed"
        else:
            said = f"left out: there is no Python {' or '.join(client.pythons)} here"
        sys.stdout.write(f"{number:2}/{len(CLIENTS)} {client.id}: {said}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
