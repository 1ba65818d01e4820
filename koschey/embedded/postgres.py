"""PostgreSQL: creates its cluster at the first start, and describes its server."""

import os
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

from koschey.embedded.account import SystemAccount
from koschey.embedded.binaries import PostgresTree
from koschey.embedded.child import Child, Part
from koschey.embedded.data_folder import private_folder, write_private
from koschey.embedded.environment import DATABASE, ROLE, bare_environment
from koschey.embedded.ports import LOOPBACK
from koschey.embedded.secret_file import Secrets

CONNECTIONS_PER_WEB_PROCESS = 12
"""A pool of ten, one that listens, and one spare."""

SET_UP = f"""\
CREATE ROLE {ROLE} LOGIN PASSWORD '{{password}}'
CREATE DATABASE {DATABASE} OWNER {ROLE}
"""
"""One statement per line, as the single-user mode reads them. Koschey's role owns its database and nothing more."""


INITDB = (
    "--username=postgres",
    "--auth=scram-sha-256",
    "--no-instructions",
    "--encoding=UTF8",
    # The collation is PostgreSQL's own. The system's collation changes with the system, which breaks indexes.
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
)
CAREFUL = ("-c", "exit_on_error=on", "-c", "log_min_error_statement=panic")
"""Exit at the first error, and log no statement, because one contains the password."""


def cluster_folder(folder: Path) -> Path:
    """Return the folder in which PostgreSQL keeps its files."""
    return folder / "postgres"


def make_cluster(
    folder: Path, tree: PostgresTree, secrets: Secrets, account: SystemAccount | None, run: Callable[[Part], None]
) -> None:
    """Create the cluster with role and database. It is renamed once it is complete, so no partial one is ever used."""
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
    account: SystemAccount | None,
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


def postgres_part(
    folder: Path, tree: PostgresTree, port: int, account: SystemAccount | None, web_processes: int
) -> Part:
    """Describe the PostgreSQL server."""
    cluster = cluster_folder(folder)

    def is_ready(child: Child) -> bool:
        try:
            lines = (cluster / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        # The eighth line is the state. The first line shows whether the file is of an earlier server.
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
        # Recovery after a crash may take long, and must not be interrupted.
        patience=600,
        # The fast shutdown closes connections and writes all data.
        stop_signal=signal.SIGINT,
        orphan_signal=signal.SIGINT,
        grace=30,
        account=account,
    )
