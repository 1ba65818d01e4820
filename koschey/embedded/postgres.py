"""PostgreSQL: its cluster, made at the first start, and its server."""

import os
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

from koschey.embedded.account import Account
from koschey.embedded.binaries import PostgresTree
from koschey.embedded.child import Child, Part
from koschey.embedded.data_folder import private_folder, write_private
from koschey.embedded.environment import DATABASE, ROLE, bare_environment
from koschey.embedded.ports import LOOPBACK
from koschey.embedded.secret_file import Secrets

CONNECTIONS_PER_WEB_PROCESS = 12
"""A pool of ten, one that listens, and one to spare."""

SET_UP = f"""\
CREATE ROLE {ROLE} LOGIN PASSWORD '{{password}}'
CREATE DATABASE {DATABASE} OWNER {ROLE}
"""
"""One statement a line, as the single-user mode reads them. Koschey's role owns its database and no more."""


INITDB = (
    "--username=postgres",
    "--auth=scram-sha-256",
    "--no-instructions",
    "--encoding=UTF8",
    # The collation is PostgreSQL's own: that of the system changes with the system, and breaks indexes when it does.
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
)
CAREFUL = ("-c", "exit_on_error=on", "-c", "log_min_error_statement=panic")
"""Exit at the first error, and no statement in the log: one of them holds the password."""


def cluster_folder(folder: Path) -> Path:
    """Where PostgreSQL keeps its files."""
    return folder / "postgres"


def make_cluster(
    folder: Path, tree: PostgresTree, secrets: Secrets, account: Account | None, run: Callable[[Part], None]
) -> None:
    """Make the cluster with role and database. It gets its name when it is whole, so nothing is ever half made."""
    new = folder / "postgres.new"
    shutil.rmtree(new, ignore_errors=True)
    private_folder(new)
    cluster, password, statements = new / "cluster", new / "password", new / "statements"
    write_private(password, secrets.postgres_superuser)
    write_private(statements, SET_UP.format(password=secrets.postgres))
    if account:
        for path in (new, password):
            os.chown(path, account.uid, account.gid)
    step = partial(_set_up_step, folder, tree, account, cluster)
    run(step("initdb", ("initdb", *INITDB, f"--pwfile={password}")))
    run(step("set-up", ("postgres", "--single", *CAREFUL, "template1"), statements))
    cluster.rename(cluster_folder(folder))
    shutil.rmtree(new)


def _set_up_step(
    folder: Path,
    tree: PostgresTree,
    account: Account | None,
    cluster: Path,
    name: str,
    command: tuple[str, ...],
    given: Path | None = None,
) -> Part:
    return Part(
        name=name,
        title="the set-up of PostgreSQL",
        command=(str(tree.programs / "bin" / command[0]), *command[1:], "-D", str(cluster)),
        environment=bare_environment(folder),
        folder=folder,
        log=folder / "logs" / "postgres.log",
        stop_signal=signal.SIGINT,
        orphan_signal=signal.SIGINT,
        account=account,
        input=given,
    )


def postgres_part(folder: Path, tree: PostgresTree, port: int, account: Account | None, web_processes: int) -> Part:
    """Describe the server."""
    cluster = cluster_folder(folder)

    def is_ready(child: Child) -> bool:
        try:
            lines = (cluster / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        # The eighth line is the state; the first tells a file of an earlier server, which the new one replaces.
        return lines[:1] == [str(child.pid)] and [line.strip() for line in lines[7:]] == ["ready"]

    settings = {
        "listen_addresses": LOOPBACK,
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": str(100 + CONNECTIONS_PER_WEB_PROCESS * web_processes),
    }
    return Part(
        name="postgres",
        title="PostgreSQL",
        command=(
            str(tree.programs / "bin" / "postgres"),
            "-D",
            str(cluster),
            *(f"--{name}={value}" for name, value in settings.items()),
        ),
        environment=bare_environment(folder),
        folder=folder,
        log=folder / "logs" / "postgres.log",
        is_ready=is_ready,
        # Recovery after a crash may take its time, and may not be interrupted for that.
        patience=600,
        # The fast shutdown: connections are closed, all is written.
        stop_signal=signal.SIGINT,
        orphan_signal=signal.SIGINT,
        grace=30,
        account=account,
    )
