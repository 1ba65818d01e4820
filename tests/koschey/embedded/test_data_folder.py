"""The data folder of `koschey up`: whose it is, who may read it, and the secrets in it."""

import os
from dataclasses import asdict
from pathlib import Path

import pytest

from koschey.embedded.data_folder import LOCK, claim, private_folder, write_private
from koschey.embedded.options import default_data_folder
from koschey.embedded.secret_file import Secrets, load_secrets
from koschey.errors import StartError
from tests.support.embedded_parts import mode


def test_the_folder_is_ours_alone(data: Path) -> None:
    """Nobody else can list the data folder, nor read what is written into it."""
    with claim(data / "deep" / "data") as held:
        write_private(held / "secret", "x")
        private_folder(held / "inner")
        assert mode(held) == (0o711 if os.geteuid() == 0 else 0o700)
        assert (mode(held / "secret"), mode(held / "inner"), mode(held / LOCK)) == (0o600, 0o700, 0o600)


def test_a_folder_is_held_by_one(claimed: Path) -> None:
    """A second claim on a held folder fails and names the process that holds it."""
    with pytest.raises(StartError, match=f"another .*process {os.getpid()}"), claim(claimed):
        pass


def test_a_folder_let_go_can_be_claimed(data: Path) -> None:
    """The hold ends with its block."""
    for _ in range(2):
        with claim(data) as held:
            assert held == data


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_is_no_data_folder(data: Path, name: str) -> None:
    """A path that is a file, or leads through one, is refused in one line."""
    (data.parent / "file").write_text("")
    with pytest.raises(StartError, match="--data") as refused, claim(data.parent / name):
        pass
    assert "\n" not in str(refused.value)


def test_a_strange_folder_is_left_alone(data: Path) -> None:
    """A folder with other content is refused, and its mode is not touched."""
    data.mkdir(mode=0o755)
    (data / "thesis.txt").write_text("")
    with pytest.raises(StartError, match="something other than Koschey's data"), claim(data):
        pass
    assert (mode(data), [entry.name for entry in data.iterdir()]) == (0o755, ["thesis.txt"])


def test_a_new_volume_is_accepted(data: Path) -> None:
    """A mounted volume with nothing but `lost+found` counts as empty."""
    (data / "lost+found").mkdir(parents=True)
    with claim(data) as held:
        assert held.exists()


def test_the_default_folder_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """`KOSCHEY_DATA` beats the folder of the system or the user."""
    monkeypatch.setenv("KOSCHEY_DATA", "/somewhere/else")
    assert default_data_folder() == Path("/somewhere/else")
    monkeypatch.delenv("KOSCHEY_DATA")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_data_folder() == Path("/var/lib/koschey")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", "/home/someone/data")
    assert default_data_folder() == Path("/home/someone/data/koschey")


# Secrets


def test_secrets_are_kept(claimed: Path) -> None:
    """The secrets are random, and the same at the next start."""
    first = load_secrets(claimed, made_before=False)
    assert load_secrets(claimed, made_before=True) == first
    assert len(set(asdict(first).values())) == len(asdict(first))
    assert mode(claimed / "secrets.json") == 0o600


def test_secrets_do_not_print() -> None:
    """A traceback that shows the secrets shows none of them."""
    made = Secrets()
    assert not [value for value in asdict(made).values() if value in repr(made)]


def test_a_new_secret_is_added(claimed: Path) -> None:
    """A file of an older version keeps its values and gets those that it lacks."""
    write_private(claimed / "secrets.json", '{"admin_password": "kept"}')
    completed = load_secrets(claimed, made_before=True)
    assert completed.admin_password == "kept"
    assert load_secrets(claimed, made_before=True) == completed


def test_lost_secrets_are_not_made_anew(claimed: Path) -> None:
    """New passwords would not open the old database: that is said instead."""
    with pytest.raises(StartError, match="restore it from a backup"):
        load_secrets(claimed, made_before=True)


def test_broken_secrets_are_named(claimed: Path) -> None:
    """A damaged file is named in one line and left as it is."""
    write_private(claimed / "secrets.json", "{")
    with pytest.raises(StartError, match=r"secrets\.json cannot be read"):
        load_secrets(claimed, made_before=True)
    assert (claimed / "secrets.json").read_text() == "{"
