"""Run workflows and relay the outbox. The KOSCHEY_* variables of the environment are its settings.

Example: koschey worker
"""

import asyncio
import os
import signal

import click

from koschey.concurrency.loops import loop_factory
from koschey.logs import configure_logs
from koschey.settings import Settings, load_settings
from koschey.worker.process import announce, run_worker

GRACE = 20
"""Seconds that a worker gets to end by itself."""


@click.command("worker", help=__doc__)
@click.option("--ready-fd", type=int, hidden=True, help="Write a line to this descriptor once the worker accepts work.")
def command(ready_fd: int | None) -> None:
    """Run until a signal ends it."""
    settings = load_settings()
    configure_logs(settings.log_level)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_run(settings, ready_fd))


async def _run(settings: Settings, ready_fd: int | None) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def end() -> None:
        stop.set()
        # The client waits for Temporal, which may be gone; every step can be killed and is run again.
        loop.call_later(GRACE, os._exit, 0)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    await run_worker(settings, stop=stop, ready=lambda: announce(ready_fd))
