"""The worker: runs workflows and activities, relays the outbox, talks to upstreams."""

import asyncio
import os
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, TLSConfig
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkflowRunner

from activities.advisories import AdvisoryActivities
from activities.alerts import AlertActivities
from activities.checks import CheckActivities, register_checks, wire_checker
from activities.decisions import DecisionActivities
from activities.description import DescriptionActivities
from activities.following import FollowActivities
from activities.housekeeping import HousekeepingActivities
from activities.metadata import MetadataActivities
from activities.plan import PlanActivities
from activities.provenance import ProvenanceActivities
from activities.release import FetchActivities, ReleaseActivities
from activities.uploads import UploadActivities
from koschey import __version__
from koschey.auth.guesses import Guesses
from koschey.concurrency.supervision import Background
from koschey.concurrency.waiting import set_within
from koschey.db.pool import is_outage
from koschey.errors import StartError, TaskFailed
from koschey.mirror.follower import Follower, keep_rechecking
from koschey.mirror.metadata_extraction import Extractor
from koschey.mirror.wheel_reader import WheelReader
from koschey.quarantine.sweep import wake_unchecked
from koschey.resources import Resources, open_resources
from koschey.settings import Settings
from koschey.settings.signal_decisions import SignalDecisions, signal_decisions, signal_warnings
from koschey.storage.spooled import PARTS_IN_MEMORY, UploadStore
from koschey.upstream.webhook import webhook_of
from koschey.worker.background import keep_running, keep_telling, steady_workflows
from koschey.worker.heartbeat import keep_reporting
from koschey.worker.open_codes import OpenCodes
from koschey.worker.relay import Relay
from koschey.worker.superseded import SupersededRuns
from workflows.attach_provenance import AttachProvenance
from workflows.describe_project import DescribeProject
from workflows.fetch_file import FetchFile
from workflows.follow_advisories import FollowAdvisories
from workflows.follow_upstream import FollowUpstream
from workflows.housekeeping import Housekeeping
from workflows.names import SEARCH_ATTRIBUTES, TASK_QUEUE
from workflows.quarantine import Quarantine
from workflows.send_alert import SendAlert

log = structlog.get_logger()

WORKFLOWS = (
    *(Quarantine, FetchFile, AttachProvenance, DescribeProject, SendAlert),
    *(FollowAdvisories, FollowUpstream, Housekeeping),
)
ACTIVITIES = 20
"""Activities under way in one worker: most of the time they wait for the network."""
WORKFLOW_TASKS = 10
"""Tasks of workflows under way: with local activities in them they want a connection each, and no more are there."""
QUICK_RUNNER = UnsandboxedWorkflowRunner()
"""Tests run and replay workflows in the sandbox, which finds what is not deterministic; here it would find nothing
more, for a sixth of the processor time."""
RECONNECT = 2.0
"""Seconds between attempts to reach Temporal at the start; it, or its namespace, may come up later than the worker."""
ANSWERS = timedelta(seconds=10)
"""Within which Temporal answers a question."""


async def run_worker(settings: Settings, *, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Work until `stop` is set; call `ready` once Temporal is polled.

    Raises `TaskFailed` where a background task gave up: a worker without its relay only looks healthy.
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
    client = await _connect_patiently(settings, stop)
    if client is None:
        return
    await register_checks(resources.pool)
    await wake_unchecked(resources.pool)
    searchable = await ensure_search_attributes(client, settings.temporal_namespace)
    webhook = settings.webhook is not None
    Relay(resources.pool, client, str(settings.database_url), searchable=searchable, webhook=webhook).start(tasks)
    tasks.start("the report of this worker", lambda: keep_reporting(resources.pool, client), is_outage)
    follower = Follower(resources.pool, resources.refresher, timedelta(seconds=settings.page_freshness))
    tasks.start("the looks that confirm absences", lambda: keep_rechecking(follower), is_outage)
    if signal_decisions(settings.decisions_by_signal) is SignalDecisions.CODE:
        codes = OpenCodes(resources.pool, client, resources.feed)
        tasks.start("the reading of signals with open codes", codes.run, _is_any_outage)
    superseded = SupersededRuns(resources.pool, client, searchable=searchable)
    tasks.start("the replacement of superseded runs", superseded.run, _is_any_outage)
    if webhook:
        tasks.start("the telling of alerts", lambda: keep_telling(resources.pool), is_outage)
    async with make_worker(client, resources, QUICK_RUNNER):
        steady = steady_workflows(settings)
        tasks.start("the start of steady workflows", lambda: keep_running(client, steady), _is_rpc_error)
        ready()
        await stop.wait()


def _is_rpc_error(error: Exception) -> bool:
    return isinstance(error, RPCError)


def _is_any_outage(error: Exception) -> bool:
    return _is_rpc_error(error) or is_outage(error)


def make_worker(client: Client, resources: Resources, runner: WorkflowRunner) -> Worker:
    """Return what runs all workflows and activities. A burst waits in Temporal, and not in front of the pool."""
    return Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=WORKFLOWS,
        activities=wire_activities(resources),
        max_concurrent_activities=ACTIVITIES,
        max_concurrent_local_activities=WORKFLOW_TASKS,
        max_concurrent_workflow_tasks=WORKFLOW_TASKS,
        workflow_runner=runner,
        # A task with ten thousand signals takes longer than the two seconds after which the SDK calls a workflow
        # deadlocked, and it would fail each time. Tests, which run in the sandbox, keep this detection.
        debug_mode=runner is QUICK_RUNNER,
        # Otherwise every module of the process is compiled anew, to be hashed.
        build_id=__version__,
    )


def wire_activities(resources: Resources) -> list[Callable[..., Any]]:
    """Return every activity, bound to what it works with. Nothing else constructs activities."""
    release = ReleaseActivities(
        resources.pool,
        resources.refresher,
        resources.files,
        resources.settings.window,
        resources.feed,
    )
    fetch = FetchActivities(resources.pool, resources.files)
    wheels = WheelReader(resources.pool, resources.bucket, resources.upstream)
    metadata = MetadataActivities(Extractor(resources.pool, resources.bucket, wheels))
    provenance = ProvenanceActivities(resources.pool, resources.provenance)
    advisories = AdvisoryActivities(resources.pool, resources.advisories, resources.feed)
    settings = resources.settings
    alerts = AlertActivities(resources.pool, webhook_of(settings), settings.public_url)
    guesses = Guesses(resources.pool)
    mode = signal_decisions(settings.decisions_by_signal)
    decisions = DecisionActivities(resources.pool, guesses, mode, resources.feed)
    description = DescriptionActivities(resources.pool)
    checker = wire_checker(resources.pool, resources.bucket, resources.files, resources.provenance, settings.spool)
    checks, plan = CheckActivities(checker), PlanActivities(resources.pool, checker)
    house = HousekeepingActivities(resources.pool, settings.downloads_kept)
    uploads = UploadActivities(resources.pool, UploadStore(resources.bucket, asyncio.Semaphore(PARTS_IN_MEMORY)))
    freshness = timedelta(seconds=settings.page_freshness)
    following = FollowActivities(Follower(resources.pool, resources.refresher, freshness), settings.follow_upstream)
    return [
        *(alerts.send_alert, advisories.follow_advisories),
        *(release.store_held_files, release.settle_release, fetch.store_wanted_file),
        *(decisions.sift_signals, decisions.decide_releases, description.describe_release),
        *(plan.plan_round, checks.check_release, checks.note_check_fault),
        *(
            house.end_rules,
            house.restart_held_releases,
            house.forget_downloads,
            uploads.sweep_uploads,
            following.look_at_stale,
            provenance.attach_release,
        ),
        *(provenance.list_stored_files, provenance.attach_provenance, metadata.describe_wheels),
    ]


async def connect_temporal(settings: Settings) -> Client:
    """Connect to Temporal as the settings say."""
    return await Client.connect(settings.temporal_address, namespace=settings.temporal_namespace, tls=_tls(settings))


async def ensure_search_attributes(client: Client, namespace: str) -> bool:
    """Register what makes Temporal's own pages a list of what waits.

    False where that is not possible: workflows then go without, and an operator may register them (docs/temporal.md).
    """
    kinds = {"KoscheyReleaseAt": IndexedValueType.INDEXED_VALUE_TYPE_DATETIME}
    wanted = {key.name: kinds.get(key.name, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD) for key in SEARCH_ATTRIBUTES}
    operator = client.operator_service
    try:
        known = await operator.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))
        wanted = {name: kind for name, kind in wanted.items() if name not in known.custom_attributes}
    except RPCError as error:
        if error.status is not RPCStatusCode.UNIMPLEMENTED:
            log.warning("search attributes cannot be listed", error=str(error))
            return False
    try:
        if wanted:
            request = AddSearchAttributesRequest(namespace=namespace, search_attributes=wanted)
            await operator.add_search_attributes(request)
    except RPCError as error:
        log.warning("search attributes cannot be registered; see docs/temporal.md", error=str(error))
        return error.status is RPCStatusCode.ALREADY_EXISTS
    return True


async def _connect_patiently(settings: Settings, stop: asyncio.Event) -> Client | None:
    """Connect once Temporal answers and has the namespace; None where the worker is stopped before."""
    _tls(settings)  # what the operator has to mend is said at once
    where = {"address": settings.temporal_address, "namespace": settings.temporal_namespace}
    while not stop.is_set():
        try:
            client = await connect_temporal(settings)
            await client.workflow_service.describe_namespace(
                DescribeNamespaceRequest(namespace=settings.temporal_namespace), timeout=ANSWERS
            )
            return client
        except (RuntimeError, RPCError) as error:
            log.warning("the worker waits for Temporal, or for its namespace", **where, error=str(error))
        await set_within(stop, RECONNECT)
    return None


def _tls(settings: Settings) -> TLSConfig | bool:
    """Raise `StartError` where a file of the settings cannot be read, or is not what the setting says."""
    if not settings.temporal_tls:
        return False
    ca, cert, key = settings.temporal_tls_ca, settings.temporal_tls_cert, settings.temporal_tls_key

    def read(path: Path | None, setting: str) -> bytes | None:
        try:
            return path.read_bytes() if path else None
        except OSError as error:
            raise StartError(f"KOSCHEY_TEMPORAL_TLS_{setting}: {path} cannot be read: {error.strerror}") from None

    config = TLSConfig(
        server_root_ca_cert=read(ca, "CA"), client_cert=read(cert, "CERT"), client_private_key=read(key, "KEY")
    )
    context = ssl.create_default_context()
    try:
        if ca:
            context.load_verify_locations(ca)
    except ssl.SSLError:
        raise StartError(f"KOSCHEY_TEMPORAL_TLS_CA: {ca} holds no certificate in PEM form") from None
    try:
        if cert:
            context.load_cert_chain(cert, key, password="")
    except ssl.SSLError:
        raise StartError(
            f"KOSCHEY_TEMPORAL_TLS_CERT: {cert} and {key} are no certificate with its key in PEM, without a password"
        ) from None
    return config


def announce(fd: int | None) -> None:
    """Tell the process that started this one, through an inherited descriptor, that work is being taken."""
    if fd is not None:
        os.write(fd, b"ready\n")
        os.close(fd)
