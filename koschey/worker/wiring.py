"""Wires every workflow and activity into one Temporal worker. Nothing else constructs activities."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkflowRunner

from activities.advisories import AdvisoryActivities
from activities.alerts import AlertActivities
from activities.checks import CheckActivities, wire_checker
from activities.decisions import DecisionActivities
from activities.following import FollowActivities
from activities.housekeeping import HousekeepingActivities
from activities.metadata import MetadataActivities
from activities.plan import PlanActivities
from activities.provenance import ProvenanceActivities
from activities.release import FetchActivities, ReleaseActivities
from activities.uploads import UploadActivities
from koschey import __version__
from koschey.auth.guesses import Guesses
from koschey.mirror.follower import Follower
from koschey.mirror.metadata_extraction import Extractor
from koschey.mirror.wheel_reader import WheelReader
from koschey.quarantine.checking import Checker
from koschey.resources import Resources
from koschey.settings.signal_decisions import signal_decisions
from koschey.storage.spooled import PARTS_IN_MEMORY, UploadStore
from koschey.upstream.webhook import webhook_of
from workflows.attach_provenance import AttachProvenance
from workflows.describe_project import DescribeProject
from workflows.fetch_file import FetchFile
from workflows.follow_advisories import FollowAdvisories
from workflows.follow_upstream import FollowUpstream
from workflows.housekeeping import Housekeeping
from workflows.names import TASK_QUEUE
from workflows.quarantine import Quarantine
from workflows.send_alert import SendAlert

WORKFLOWS = (
    Quarantine,
    FetchFile,
    AttachProvenance,
    DescribeProject,
    SendAlert,
    FollowAdvisories,
    FollowUpstream,
    Housekeeping,
)
ACTIVITIES = 20
"""Maximum number of concurrent activities of one worker; most of the time they wait for the network."""
WORKFLOW_TASKS = 10
"""Maximum number of concurrent workflow tasks. Each may need a database connection for its local activities, and the
pool has no more."""
QUICK_RUNNER = UnsandboxedWorkflowRunner()
"""Tests run and replay workflows in the sandbox, which finds nondeterminism. Here it would find nothing more, and cost
a sixth of the processor time."""


def make_worker(client: Client, resources: Resources, runner: WorkflowRunner) -> Worker:
    """Return a worker for all workflows and activities. A burst of tasks queues in Temporal, not before the pool."""
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
        # Without it, the SDK compiles every module of the process again in order to hash it.
        build_id=__version__,
    )


def wire_activities(resources: Resources) -> list[Callable[..., Any]]:
    """Return every activity, bound to its dependencies."""
    checker = wire_checker(
        resources.pool, resources.bucket, resources.files, resources.provenance, resources.settings.spool
    )
    return [
        *_quarantine(resources, checker),
        *_decisions(resources),
        *_upstream(resources),
        *_housekeeping(resources),
    ]


def _quarantine(resources: Resources, checker: Checker) -> list[Callable[..., Any]]:
    release = ReleaseActivities(
        pool=resources.pool,
        refresher=resources.refresher,
        store=resources.files,
        window=resources.settings.window,
        feed=resources.feed,
    )
    checks = CheckActivities(checker)
    return [
        PlanActivities(checker).plan_round,
        release.store_held_files,
        release.settle_release,
        release.refresh_release,
        checks.check_release,
        checks.note_check_fault,
    ]


def _decisions(resources: Resources) -> list[Callable[..., Any]]:
    decisions = DecisionActivities(
        pool=resources.pool,
        guesses=Guesses(resources.pool),
        mode=signal_decisions(resources.settings.decisions_by_signal),
        feed=resources.feed,
    )
    return [decisions.sift_signals, decisions.decide_releases]


def _upstream(resources: Resources) -> list[Callable[..., Any]]:
    wheels = WheelReader(resources.pool, resources.bucket, resources.upstream)
    freshness = timedelta(seconds=resources.settings.page_freshness)
    follower = Follower(resources.pool, resources.refresher, freshness)
    provenance = ProvenanceActivities(resources.pool, resources.provenance)
    return [
        FetchActivities(resources.pool, resources.files).store_wanted_file,
        MetadataActivities(Extractor(resources.pool, resources.bucket, wheels)).describe_wheels,
        FollowActivities(follower, resources.settings.follow_upstream).look_at_stale,
        AdvisoryActivities(resources.pool, resources.advisories, resources.feed).follow_advisories,
        provenance.attach_release,
        provenance.list_stored_files,
        provenance.attach_provenance,
    ]


def _housekeeping(resources: Resources) -> list[Callable[..., Any]]:
    house = HousekeepingActivities(resources.pool, resources.settings.downloads_kept)
    uploads = UploadStore(resources.bucket, asyncio.Semaphore(PARTS_IN_MEMORY))
    alerts = AlertActivities(resources.pool, webhook_of(resources.settings), resources.settings.public_url)
    return [
        house.end_rules,
        house.restart_held_releases,
        house.forget_downloads,
        UploadActivities(resources.pool, uploads).sweep_uploads,
        alerts.send_alert,
    ]
