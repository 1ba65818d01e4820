"""The worker process: runs workflows and activities, relays the outbox, and keeps its background tasks alive."""

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta

import structlog
from temporalio.service import RPCError

from activities.checks import register_checks
from koschey.concurrency.loops import running_loop
from koschey.concurrency.supervision import Background
from koschey.db.pool import is_outage
from koschey.errors import StoreUnavailable, TaskFailed
from koschey.governance.anchors import keep_anchoring
from koschey.mirror.follower import Follower, keep_rechecking
from koschey.quarantine.sweep import keep_waking_unchecked
from koschey.resources import Resources, open_resources
from koschey.settings import Settings
from koschey.settings.signal_decisions import SignalDecisions, signal_decisions, signal_warnings
from koschey.worker.background import keep_resending_alerts, keep_running, permanent_workflows
from koschey.worker.connection import connect_patiently, ensure_search_attributes
from koschey.worker.heartbeat import keep_reporting
from koschey.worker.open_codes import OpenCodes
from koschey.worker.relay import Relay
from koschey.worker.superseded import SupersededRuns
from koschey.worker.wiring import QUICK_RUNNER, make_worker

log = structlog.get_logger()


async def run_worker(settings: Settings, *, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Work until `stop` is set; call `ready` once the worker polls Temporal.

    Raises `TaskFailed` if a background task gave up: a worker without its relay only looks healthy.
    """
    for warning in signal_warnings(settings.decisions_by_signal):
        log.warning(warning)
    failures: list[TaskFailed] = []

    def fail(failure: TaskFailed) -> None:
        failures.append(failure)
        stop.set()

    async with open_resources(settings, fail) as resources, Background(fail) as tasks:
        await _work(settings, resources, tasks, stop, ready)
    if failures:
        raise failures[0]


async def _work(
    settings: Settings, resources: Resources, tasks: Background, stop: asyncio.Event, ready: Callable[[], None]
) -> None:
    client = await connect_patiently(settings, stop)
    if client is None:
        return
    await register_checks(resources.pool)
    searchable = await ensure_search_attributes(client, settings.temporal_namespace)
    webhook = settings.webhook is not None
    relay = Relay(resources.pool, client, str(settings.database_url), searchable=searchable, webhook=webhook)
    relay.start(tasks)
    tasks.start("the report of this worker", lambda: keep_reporting(resources.pool, client), is_outage)
    follower = Follower(resources.pool, resources.refresher, timedelta(seconds=settings.page_freshness))
    tasks.start("the re-checks that confirm absences", lambda: keep_rechecking(follower), is_outage)
    anchoring = "the anchoring of the journal"
    tasks.start(anchoring, lambda: keep_anchoring(resources.pool, resources.bucket), _is_store_outage)
    if signal_decisions(settings.decisions_by_signal) is SignalDecisions.CODE:
        codes = OpenCodes(resources.pool, client, resources.feed)
        tasks.start("the reading of signals with open codes", codes.run, _is_any_outage)
    superseded = SupersededRuns(resources.pool, client, searchable=searchable)
    tasks.start("the replacement of superseded runs", superseded.run, _is_any_outage)
    if webhook:
        tasks.start("the sending of alerts", lambda: keep_resending_alerts(resources.pool), is_outage)
    async with make_worker(client, resources, QUICK_RUNNER):
        permanent = permanent_workflows(settings)
        tasks.start("the start of permanent workflows", lambda: keep_running(client, permanent), _is_rpc_error)
        unchecked = keep_waking_unchecked
        tasks.start("the search for unchecked releases", lambda: unchecked(resources.pool), is_outage)
        log.info("this worker is ready", loop=running_loop())
        ready()
        await stop.wait()


def _is_store_outage(error: Exception) -> bool:
    return isinstance(error, StoreUnavailable) or is_outage(error)


def _is_rpc_error(error: Exception) -> bool:
    return isinstance(error, RPCError)


def _is_any_outage(error: Exception) -> bool:
    return _is_rpc_error(error) or is_outage(error)


def announce(fd: int | None) -> None:
    """Notify the process that started this worker, through an inherited descriptor, that the worker polls Temporal."""
    if fd is not None:
        os.write(fd, b"ready\n")
        os.close(fd)
