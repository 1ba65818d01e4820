"""`koschey up` as its user runs it: one command, ready when it says so, and nothing left when it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from koschey.embedded.options import settings_file
from koschey.settings import load_settings
from tests.support.bound_processes import bound

ROOT = Path(__file__).parents[3]
READY = 90
STOPPED = 60


@pytest.fixture(autouse=True, scope="module")
def _bytecode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled modules are kept from start to start, as in an ordinary installation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield


def command(data: Path, *options: str) -> list[str]:
    return bound([sys.executable, "-m", "koschey", "up", "--data", str(data), *options], signal.SIGTERM)


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("KOSCHEY_")}


def refused(data: Path, *options: str, **variables: str) -> str:
    """Run `up` where it cannot start; return the one line that it says."""
    done = subprocess.run(
        command(data, "--port", "0", "--json", *options),
        cwd=ROOT,
        env=environment() | variables,
        capture_output=True,
        text=True,
        timeout=READY,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, ""), done
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


@contextmanager
def running(data: Path, *options: str) -> Iterator[tuple[psutil.Popen, dict[str, Any]]]:
    """Run `up` until it is ready; whatever a test leaves of it is ended."""
    process = psutil.Popen(
        command(data, "--port", "0", "--json", *options),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        line = process.stdout.readline()
        yield process, json.loads(line or process.stderr.read())
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(STOPPED)
        process.stdout.close()
        process.stderr.close()


def eventually(condition: Callable[[], bool], seconds: float = STOPPED) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or bool(process.status() == psutil.STATUS_ZOMBIE)


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except OSError:
        return 0


def health(told: dict[str, Any]) -> str:
    return str(told["index_url"]).replace("/simple/", "/_/health")


def test_up_runs_and_stops(data: Path) -> None:
    """One line of JSON says all that is needed once all of it works; SIGTERM ends every process of it, exit code 0."""
    with running(data) as (process, told):
        assert status(health(told)) == 200
        assert status(told["temporal_ui"]) == 200
        assert told["pids"]["up"] == process.pid
        assert set(told["pids"]) == {"up", "postgres", "s3", "temporal", "web", "worker"}
        assert told["pip"] == f"pip install --index-url {told['index_url']} NAME"
        assert told["uv"] == f"uv pip install --index-url {told['index_url']} NAME"
        assert told["upload_url"].endswith("/legacy/")
        assert told["admin_user"] == "admin"
        assert Path(told["data"]) == data.resolve()
        settings = load_settings(file=settings_file(data))
        assert told["index_url"] == f"{settings.public_url}/simple/"
        descendants = process.children(recursive=True)
        assert len(descendants) > 5
        secrets = [*json.loads((data / "secrets.json").read_text()).values(), told["upload_token"]]
        shown = [" ".join(found.cmdline()) for found in descendants]
        assert not [secret for secret in secrets if any(secret in line for line in shown)]
        process.terminate()
        assert process.wait(STOPPED) == 0
        assert process.stdout.read() == ""
        assert process.stderr.read() == ""
        assert [found for found in descendants if not ended(found)] == []


def test_a_second_up_is_refused(data: Path) -> None:
    """A second `up` on a folder in use says so in one line and does not disturb the first."""
    with running(data) as (process, told):
        assert f"process {process.pid}" in refused(data)
        assert status(health(told)) == 200


def test_the_second_start_keeps_what_was(data: Path) -> None:
    """Address, token and password stay the same from start to start, and what is migrated is not migrated again."""
    kept = ("index_url", "upload_token", "admin_password", "temporal_ui")
    with running(data) as (_, told):
        first = {name: told[name] for name in kept}
    migrated = data / "logs" / "migrate.log"
    assert "applied 0001" in migrated.read_text()
    migrated.unlink()
    with running(data) as (_, told):
        assert {name: told[name] for name in kept} == first
    assert not migrated.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_other_signals_stop_it_too(data: Path, number: signal.Signals) -> None:
    """Ctrl-C and the end of the terminal stop everything in order."""
    with running(data) as (process, _):
        descendants = process.children(recursive=True)
        process.send_signal(number)
        assert process.wait(STOPPED) == 0
        assert [found for found in descendants if not ended(found)] == []
    assert not (data / "postgres" / "postmaster.pid").exists()


def test_a_signal_while_starting_stops_it(data: Path) -> None:
    """Who changes their mind while it starts waits for nothing and finds nothing left."""
    process = psutil.Popen(command(data, "--port", "0"), cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    with process.stdout:
        assert eventually(lambda: len(process.children()) >= 3)
        descendants = process.children(recursive=True)
        process.terminate()
        assert process.wait(STOPPED) == 0
        assert "ready" not in process.stdout.read()
    assert [found for found in descendants if not ended(found)] == []
    with running(data) as (_, told):
        assert status(health(told)) == 200


def test_a_killed_up_takes_everything_with_it(data: Path) -> None:
    """When `up` is killed outright none of its processes stays, and the next `up` starts on the same data."""
    with running(data) as (process, _):
        descendants = process.children(recursive=True)
        process.kill()
        process.wait()
        assert eventually(lambda: all(ended(found) for found in descendants))
    with running(data) as (_, told):
        assert status(health(told)) == 200


def test_all_killed_at_once(data: Path) -> None:
    """When every process of it is killed outright the next `up` recovers by itself."""
    with running(data) as (process, first):
        for found in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):  # the death of the first ends the others, too
                found.kill()
        process.wait()
    with running(data) as (_, told):
        assert status(health(told)) == 200
        assert told["index_url"] == first["index_url"]


def test_a_part_that_dies_comes_back(data: Path) -> None:
    """Any part that dies is started again, and the index serves."""
    titles = {"postgres": "PostgreSQL", "s3": "S3", "temporal": "Temporal", "web": "web", "worker": "worker"}
    with running(data) as (process, told):
        for name, title in titles.items():
            psutil.Process(told["pids"][name]).kill()
            assert process.stderr.readline() == f"{title} was ended by SIGKILL; starting it again\n"
            assert process.stderr.readline() == f"{title} is back\n"
            assert eventually(lambda: status(health(told)) == 200)


def test_a_taken_port_is_refused_first(data: Path) -> None:
    """A taken port is named with its option before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refused(data, "--port", str(port)).endswith(
            f"port {port} on 127.0.0.1 is in use; choose another with --port"
        )
        assert not (data / "postgres").exists()
        assert not (data / "logs").exists()


def test_an_unusable_folder_is_refused(data: Path) -> None:
    """A data folder that cannot be made is named in one line."""
    file = data.parent / "file"
    file.write_text("")
    assert str(file) in refused(file)
    assert str(file / "below") in refused(file / "below")


def test_an_unusable_upstream_is_refused(data: Path) -> None:
    """An upstream that the settings forbid is refused before anything is started."""
    assert "https" in refused(data, "--upstream", "http://127.0.0.1:9/simple/")
    assert not (data / "logs").exists()


def test_an_unknown_variable_is_refused(data: Path) -> None:
    """A misspelt setting is named before anything is started."""
    assert "KOSCHEY_QUARANTAINE_DAYS" in refused(data, KOSCHEY_QUARANTAINE_DAYS="1")
    assert not (data / "logs").exists()


def test_a_part_that_cannot_start_is_explained(data: Path) -> None:
    """When a part fails, its last words and its log are in the one line, and the others are stopped."""
    with running(data):
        pass
    (data / "postgres" / "PG_VERSION").write_text("9\n")
    said = refused(data)
    assert "PostgreSQL ended with exit code 1" in said
    assert "incompatible" in said
    assert str(data / "logs" / "postgres.log") in said
    assert [found for found in psutil.process_iter() if str(data) in " ".join(command_of(found))] == []


def command_of(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def test_people_are_told_in_text(data: Path) -> None:
    """Without `--json` the lines for pip, uv and twine, the admin's login and how to stop are printed."""
    with subprocess.Popen(
        command(data, "--port", "0"), cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        while lines[-1] and not lines[-1].startswith("  Data"):
            lines.append(process.stdout.readline())
        process.terminate()
        assert process.wait(STOPPED) == 0
    text = "".join(lines)
    secrets = json.loads((data / "secrets.json").read_text())
    for expected in (
        "pip install --index-url http://127.0.0.1:",
        "uv pip install --index-url http://127.0.0.1:",
        f"twine upload --repository-url http://127.0.0.1:{load_settings(file=settings_file(data)).port}/legacy/",
        f"--token {secrets['upload_token']}",
        f"password {secrets['admin_password']}",
        "Ctrl-C stops everything",
        str(data.resolve()),
    ):
        assert expected in text
