"""`koschey up`: the order in which everything starts, and what happens if a part cannot start."""

import asyncio
import os
import shutil
import time
from pathlib import Path

from rich.console import Console

from koschey.auth.bootstrap import ensure_accounts
from koschey.db.migrate import is_migrated
from koschey.embedded.account import check_reachable, postgres_account, reachable_tree
from koschey.embedded.banner import Announcement, ProgressReport, announce
from koschey.embedded.binaries import Binaries, find_binaries
from koschey.embedded.data_folder import claim, private_folder
from koschey.embedded.environment import settle_settings
from koschey.embedded.leftovers import end_leftovers, end_postgres
from koschey.embedded.options import UpOptions
from koschey.embedded.own_parts import migrate_part, web_part, worker_part
from koschey.embedded.ports import Ports, choose_ports
from koschey.embedded.postgres import cluster_folder, make_cluster, postgres_part
from koschey.embedded.s3 import s3_part
from koschey.embedded.secret_file import Secrets, load_secrets
from koschey.embedded.signals import listen
from koschey.embedded.supervisor import GaveUpError, StopRequestedError, Supervisor
from koschey.embedded.temporal import temporal_part
from koschey.errors import StartError
from koschey.settings import Settings
from koschey.settings.signal_decisions import signal_warnings


def run_up(options: UpOptions, *, out: Console) -> int:
    """Run everything until a signal stops it; return the exit code. Raises `StartError`, with nothing left running."""
    began = time.monotonic()
    report = ProgressReport(out, as_json=options.json)
    binaries = find_binaries()
    with listen() as signals, claim(options.data) as folder:
        supervisor = Supervisor(signals, report.say)
        try:
            announcement, settings = _start(options, folder, binaries, supervisor, report)
            report.ready(announcement, settings, time.monotonic() - began)
            supervisor.watch()
        except StopRequestedError:
            pass
        except GaveUpError as error:
            report.say(str(error))
            return 1
        finally:
            if supervisor.pids():
                report.step("Stopping")
            supervisor.stop()
            report.end_steps()
    return 0


def start_servers(
    folder: Path, binaries: Binaries, ports: Ports, secrets: Secrets, supervisor: Supervisor, *, web_processes: int = 1
) -> None:
    """Start Temporal, S3 and PostgreSQL, so that they become ready at the same time."""
    account = postgres_account()
    check_reachable(folder, account)
    private_folder(folder / "logs")
    supervisor.start(temporal_part(folder, binaries.temporal, ports.temporal, ports.temporal_ui))
    supervisor.start(s3_part(folder, binaries.rclone, ports.s3, secrets))
    tree = reachable_tree(binaries.postgres, folder, account)
    cluster = cluster_folder(folder)
    if not cluster.exists():
        make_cluster(folder, tree, secrets, account, supervisor.run)
    end_postgres(cluster)
    supervisor.start(postgres_part(folder, tree, ports.postgres, account, web_processes))


def _start(
    options: UpOptions, folder: Path, binaries: Binaries, supervisor: Supervisor, report: ProgressReport
) -> tuple[Announcement, Settings]:
    try:
        return _start_in_order(options, folder, binaries, supervisor, report)
    except OSError as error:  # a full disk, a file that is not ours: the error's text names it
        raise StartError(f"cannot start on {folder}: {error}") from error


def _start_in_order(
    options: UpOptions, folder: Path, binaries: Binaries, supervisor: Supervisor, report: ProgressReport
) -> tuple[Announcement, Settings]:
    end_leftovers(folder)
    ports = choose_ports(options, folder)
    secrets = load_secrets(folder, made_before=cluster_folder(folder).exists())
    settings, values = settle_settings(options, secrets, ports, folder)
    for warning in signal_warnings(settings.decisions_by_signal):
        report.say(warning)
    shutil.rmtree(folder / "spool", ignore_errors=True)  # files in transfer when the last process was killed
    private_folder(folder / "spool")

    report.step("Starting PostgreSQL, S3 and Temporal")
    start_servers(folder, binaries, ports, secrets, supervisor, web_processes=options.web_processes)
    supervisor.wait_for("postgres", "s3")

    # A process of its own needs seconds, also to find that there is nothing to do. S3's part has made the bucket.
    if not asyncio.run(is_migrated(str(settings.database_url))):
        report.step("Preparing the database")
        supervisor.run(migrate_part(folder, values))

    report.step("Starting web and worker")
    supervisor.start(web_part(folder, values, settings))
    # It imports for longer than Temporal needs to start, and waits for Temporal itself.
    supervisor.start(worker_part(folder, values))
    asyncio.run(
        ensure_accounts(
            str(settings.database_url), admin_password=secrets.admin_password, upload_token=secrets.upload_token
        )
    )
    supervisor.wait_for("temporal", "web", "worker")
    pids = {"up": os.getpid(), **supervisor.pids()}
    return announce(settings, secrets, ports.temporal_ui, folder, pids), settings
