"""pip and uv of any version behind one interface: what to install, from where, into which folder."""

import sys
from pathlib import Path

from tests.clients.install import Client
from tests.clients.venvs import call, python_of
from tests.support import commands


def install(
    client: Client,
    target: Path,
    *requirements: str,
    index: str,
    second_index: str | None = None,
    cutoff: str | None = None,
    locked: Path | None = None,
) -> set[str]:
    """Install into a folder, and return what is there then; raises `CalledProcessError` where the client fails."""
    arguments = ["--target", str(target), "--index-url", index]
    if second_index:
        arguments += ["--extra-index-url", second_index]
    if cutoff:
        arguments += ["--exclude-newer" if client.name == "uv" else "--uploaded-prior-to", cutoff]
    if locked:
        arguments += ["--require-hashes", "-r", str(locked)]
    if client.name == "uv":
        arguments += ["--no-cache", "--no-config", "--python", sys.executable]
        call(client, "uv", "pip", "install", *arguments, *requirements)
    else:
        arguments += ["--isolated", "--no-cache-dir", "--no-input"]
        commands.run(python_of(client), "-m", "pip", "install", *arguments, *requirements)
    return installed(target)


def installed(target: Path) -> set[str]:
    """The distributions in a folder."""
    return {path.name.removesuffix(".dist-info") for path in target.glob("*.dist-info")}


def has_cutoff(client: Client) -> bool:
    """Whether it can be told to pass over what was uploaded since a time."""
    return client.name == "uv" or int(client.version.partition(".")[0]) >= 26
