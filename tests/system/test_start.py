"""Commands that cannot start say why in one line and end with exit code 2; none shows a traceback."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from koschey.db.pool import connect
from tests.support.bound_processes import bound
from tests.support.commands import isolated
from tests.support.koschey_up import Koschey, wait_until
from tests.support.temporal_cli import program

AWAY = "postgresql://koschey:secret@127.0.0.1:1/koschey"


def start(folder: Path, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command with these settings and no others."""
    return subprocess.run(
        [sys.executable, "-m", "koschey", *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
        env=isolated(folder) | {"KOSCHEY_DATA": str(folder / "none")} | _variables(settings),
    )


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a command says before it ends with exit code 2."""
    assert done.returncode == 2, done
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, done.stderr
    assert not done.stdout
    return lines[0]


COMMANDS: Sequence[Sequence[str]] = (("web",), ("worker",), ("migrate",), ("quarantine",))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_database_that_cannot_be_used(tmp_path: Path, database: str, command: Sequence[str]) -> None:
    """A wrong password, an absent database and a server that is away: where, what, and what to do."""
    url = urlsplit(database)
    server = f"{url.hostname}:{url.port}"
    wrong = url._replace(netloc=f"{url.username}:wrong@{server}").geturl()
    said = refusal(start(tmp_path, *command, database_url=wrong))
    assert said.startswith(f"koschey: PostgreSQL at {server} refuses the login: password authentication failed")
    assert said.endswith("check KOSCHEY_DATABASE_URL")
    said = refusal(start(tmp_path, *command, database_url=url._replace(path="/nowhere").geturl()))
    assert said.startswith(f'koschey: PostgreSQL at {server} has no such database: database "nowhere" does not exist')
    said = refusal(start(tmp_path, *command, database_url=AWAY))
    assert said.startswith("koschey: PostgreSQL at 127.0.0.1:1 does not answer: ")
    assert "secret" not in said


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != ("migrate",)], ids=" ".join)
def test_a_database_that_is_not_migrated(tmp_path: Path, empty_database: str, command: Sequence[str]) -> None:
    """The line names the command that migrates."""
    said = refusal(start(tmp_path, *command, database_url=empty_database))
    assert said == "koschey: the database is older than this Koschey; run `koschey migrate`"


@pytest.mark.parametrize("setting", ["temporal_tls_ca", "temporal_tls_cert", "temporal_tls_key"])
def test_an_absent_certificate(tmp_path: Path, database: str, setting: str) -> None:
    """A file that a setting names and that cannot be read is said before anything is waited for."""
    (tmp_path / "other.pem").touch()
    pair = {} if setting == "temporal_tls_ca" else dict.fromkeys(("temporal_tls_cert", "temporal_tls_key"), "other.pem")
    given = {**{name: str(tmp_path / path) for name, path in pair.items()}, setting: "/nowhere/ca.pem"}
    done = start(tmp_path, "worker", database_url=database, temporal_tls="true", **given)
    assert refusal(done) == (
        f"koschey: KOSCHEY_{setting.upper()}: /nowhere/ca.pem cannot be read: No such file or directory"
    )


@pytest.mark.parametrize("setting", ["temporal_tls_ca", "temporal_tls_cert"])
def test_a_certificate_that_is_none(tmp_path: Path, database: str, setting: str) -> None:
    """A file that holds something else is said at the start too: Temporal would be waited for in vain."""
    (tmp_path / "other.pem").write_text("secret")
    names = [setting] if setting == "temporal_tls_ca" else ["temporal_tls_cert", "temporal_tls_key"]
    given = dict.fromkeys(names, str(tmp_path / "other.pem"))
    said = refusal(start(tmp_path, "worker", database_url=database, temporal_tls="true", **given))
    assert said.startswith(f"koschey: KOSCHEY_{setting.upper()}: {tmp_path / 'other.pem'} ")
    assert said.endswith(("holds no certificate in PEM form", "with its key in PEM, without a password"))


@pytest.mark.parametrize("command", ["web", "worker"])
def test_a_spool_that_takes_no_files(tmp_path: Path, database: str, command: str) -> None:
    """A folder that is not there is said at the start, and not to the first client whose file needs it."""
    said = refusal(start(tmp_path, command, database_url=database, spool="/nowhere/spool"))
    assert said == "koschey: KOSCHEY_SPOOL: no file can be written to /nowhere/spool: No such file or directory"


def test_parameters_that_postgresql_does_not_know(tmp_path: Path, database: str) -> None:
    """What PostgreSQL says of a parameter in the URL is said in one line."""
    said = refusal(start(tmp_path, "quarantine", database_url=f"{database}?nosuch=1"))
    assert "nosuch" in said
    assert said.endswith("check KOSCHEY_DATABASE_URL")


def test_an_absent_trust_root(tmp_path: Path, database: str) -> None:
    """So is the root of trust for attestations."""
    said = refusal(start(tmp_path, "worker", database_url=database, sigstore_trust_root="/nowhere/root.json"))
    assert "/nowhere/root.json" in said


def test_a_namespace_that_comes_late(tmp_path: Path, database: str, koschey: Koschey) -> None:
    """The worker waits for a namespace that does not exist yet, as it waits for Temporal, and then works."""
    address, name = koschey.settings["KOSCHEY_TEMPORAL_ADDRESS"], f"late-{os.getpid()}"
    read_end, write_end = os.pipe()
    settings = {
        "database_url": database,
        "temporal_address": address,
        "temporal_namespace": name,
        "log_level": "info",
        **{key.removeprefix("KOSCHEY_").lower(): value for key, value in koschey.settings.items() if "_S3_" in key},
    }
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(
            bound([sys.executable, "-m", "koschey", "worker", "--ready-fd", str(write_end)]),
            stderr=log,
            env=isolated(tmp_path) | _variables(settings),
            pass_fds=[write_end],
        )
    os.close(write_end)
    with closing(os.fdopen(read_end, "rb")) as ready:
        try:
            wait_until(lambda: b"waits for Temporal, or for its namespace" in (tmp_path / "log").read_bytes())
            assert worker.poll() is None
            create = ("operator", "namespace", "create", "--namespace", name, "--address", address)
            subprocess.run([program("temporal"), *create], check=True, capture_output=True, timeout=60)
            assert ready.readline() == b"ready\n"
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(60)


def test_the_folder_on_the_command_line_counts(tmp_path: Path, koschey: Koschey) -> None:
    """`--data` names the instance, also where the environment is set up for another one."""
    data = str(koschey.data)
    done = start(tmp_path, "reserve", "--data", data, "--json", database_url=AWAY)
    assert done.returncode == 0, done.stderr
    said = refusal(
        start(
            tmp_path,
            "reserve",
            "--data",
            str(tmp_path / "empty"),
            database_url=koschey.settings["KOSCHEY_DATABASE_URL"],
        )
    )
    settings = tmp_path / "empty" / "koschey.env"
    assert said == f"koschey: {settings} does not exist; run `koschey up --data {settings.parent}` first"


async def test_a_database_that_takes_no_writes(tmp_path: Path, own_database: str) -> None:
    """A standby that was promoted elsewhere, or a full disk, is said in one line too; nothing is half done."""
    connection = await connect(own_database)
    try:
        name = own_database.rpartition("/")[2]
        await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        said = refusal(start(tmp_path, "trust", "spam", "--reason", "ours", database_url=own_database))
        assert said.startswith("koschey: PostgreSQL cannot do this now: cannot execute ")
        assert await connection.fetchval("SELECT count(*) FROM journal") == 0
    finally:
        await connection.close()


@pytest.mark.parametrize("place", ["before", "behind"])
def test_options_of_a_group_count_for_its_commands(tmp_path: Path, koschey: Koschey, place: str) -> None:
    """What stands before a command's name is as good as what stands behind it."""
    given = ("--data", str(koschey.data), "--json")
    command = ("set", "local-version", "off", "--reason", "a test")
    done = start(tmp_path, "upload-rules", *(given + command if place == "before" else command + given))
    assert done.returncode == 0, done.stderr
    assert '"state": "off"' in done.stdout


def _variables(settings: Mapping[str, str]) -> dict[str, str]:
    return {f"KOSCHEY_{name.upper()}": value for name, value in settings.items()}
