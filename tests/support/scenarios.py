"""Scenarios of a quarantine, each with another history. Activities are fakes; server and workflow are real."""

# ruff: noqa: ARG002 - activities are called with what real ones need

import contextlib
import json
import zipfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.client import Client, WorkflowHistory
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from koschey.worker.connection import ensure_search_attributes
from workflows.quarantine import Quarantine

DAY = timedelta(days=1)
WEEK = 7 * DAY
QUEUE = "koschey"
REVIEW = {"reviewer": "admin", "reason": "seen"}
MACHINE = {"stackTrace", "identity", "workerInstanceKey"}
"""Fields that a replay does not read, and that identify the machine on which a history was recorded."""


@dataclass(frozen=True)
class Step:
    """A span of time, then a signal or an update."""

    after: timedelta
    name: str = ""
    given: tuple[object, ...] = ()
    is_update: bool = False


@dataclass(frozen=True)
class Scenario:
    """The course of a release's quarantine."""

    name: str
    steps: tuple[Step, ...] = ()
    files: int = 1
    failing: int = 0
    """Number of files whose first download fails."""
    window: timedelta = WEEK
    outages: int = 0
    """Number of settlings that fail without a retry before one succeeds."""
    refuses: bool = False
    """Whether every decision is refused."""
    checks: tuple[str, ...] = ()
    isolated: tuple[str, ...] = ()
    """Checks that run in child processes."""
    compares: bool = False
    """Whether a predecessor has to be downloaded for the checks."""
    portions: int = 1
    """Number of runs that a check needs to inspect all files."""
    broken: bool = False
    """Whether the first run of the first check fails."""
    unanswered: int = 0
    searchable: bool = True
    decisions: tuple[str, ...] = ()
    """Decisions that a previous run handed over."""
    code: str = ""
    """The code that decides; empty if no code is needed."""


@dataclass
class Life:
    """The fake activities of one scenario."""

    scenario: Scenario
    read_clock: Callable[[], Awaitable[datetime]]
    """Returns the server's time. A local activity has no other: the worker's clock skips nothing."""
    began: datetime | None = None
    decided: str = ""
    stored: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    outages: int = 0
    turns: dict[str, int] = field(default_factory=dict)
    broke: bool = False
    refreshed: bool = False
    """Whether the upstream's page was refreshed after the end of the window."""
    asked: bool = False
    answered: bool = False

    @activity.defn
    async def settle_release(self, release: Any) -> dict[str, Any]:
        """Answer as the policy would."""
        if self.outages < self.scenario.outages:
            self.outages += 1
            raise ApplicationError("away for good", non_retryable=True)
        now = await self.read_clock()
        self.began = self.began or now
        ends = self.began + self.scenario.window
        unstored = [n for n in range(1, self.scenario.files + 1) if n not in self.stored]
        over = now >= ends and not unstored and not self.is_unattested
        held = [] if self.decided or (over and self.refreshed) else list(range(1, self.scenario.files + 1))
        status = {
            "held_files": held,
            "unstored_files": unstored if held else [],
            "state": self.decided or ("held" if held else "released"),
            "reasons": [self.decided or ("it is new" if held else "the quarantine window ended")],
            "release_at": ends.isoformat(),
            "look_again_in": max((ends - now).total_seconds(), 5.0) if held else None,
            "held": len(held),
            "unstored": len(unstored) if held else 0,
        }
        return {"status": status, "described": {}, "needs_refresh": over and not self.decided and not self.refreshed}

    @activity.defn
    async def refresh_release(self, release: Any) -> dict[str, Any]:
        """Refresh the upstream's page, and settle."""
        self.refreshed = True
        return await self.settle_release(release)

    @activity.defn
    async def store_held_files(self, files: list[int]) -> dict[str, Any]:
        """Download files, except those that fail the first time."""
        failed = {file for file in files if file <= self.scenario.failing and file not in self.failed}
        self.failed |= failed
        self.stored |= {*files} - failed
        return {"stored": len(files) - len(failed), "failed": len(failed)}

    @activity.defn
    async def plan_round(self, page: Any) -> dict[str, Any]:
        """List the files to download, whether provenance is missing, and the checks to run."""
        waiting = [] if self.decided else range(page["after"] + 1, self.scenario.files + 1)
        return {
            "unstored": [file for file in waiting if file not in self.stored],
            "unattested": self.is_unattested,
            "checks": [name for name in self.scenario.checks if self.turns.get(name, 0) < self.scenario.portions],
            "isolated": [name for name in self.scenario.isolated if not self.turns.get(name)],
        }

    @activity.defn
    async def attach_release(self, page: Any) -> dict[str, Any]:
        """Attach provenance, unless the upstream does not answer the first time."""
        self.answered, self.asked = self.asked, True
        return {"last": None, "unanswered": 0 if self.answered else self.scenario.unanswered}

    @activity.defn
    async def check_release(self, task: Any) -> dict[str, Any]:
        """Inspect a portion of the files, and compare them only if their predecessor may be downloaded."""
        if self.scenario.broken and not self.broke:
            self.broke = True
            raise ApplicationError("the child died", non_retryable=True)
        if self.scenario.compares and not task["downloads"]:
            return {"checked": 0, "faults": 0, "left": True}
        for name in task["checks"]:
            self.turns[name] = self.turns.get(name, 0) + 1
        is_left = any(self.turns[name] < self.scenario.portions for name in {*task["checks"]} & {*self.scenario.checks})
        return {"checked": 1, "faults": 0, "left": is_left}

    @activity.defn
    async def note_check_fault(self, task: Any, cause: str) -> None:
        """Receive the cause of a check's fault."""
        assert cause

    @activity.defn
    async def sift_signals(self, batch: Any) -> dict[str, Any]:
        """Choose the signals that carry the scenario's code."""
        wanted = self.scenario.code
        offered = [candidate["code"] for candidate in batch["candidates"]]
        wrong = [place for place, code in enumerate(offered) if wanted and code != wanted]
        return {
            "chosen": [place for place in range(len(offered)) if place not in wrong],
            "refusals": [{"text": "refused: there is no such code", "positions": wrong}] if wrong else [],
            "wrong": len(wrong),
            "pause": 1.0 if wrong else 0.0,
        }

    @activity.defn
    async def decide_releases(self, decisions: list[Any]) -> list[str]:
        """Carry out decisions one after another."""
        now = await self.read_clock()
        return [self._decide(decision, now) for decision in decisions]

    def _decide(self, decision: Any, now: datetime) -> str:
        if self.scenario.refuses:
            return "refused: there is no such reviewer here"
        if decision["choice"] == "extend":
            self.began = now
            return "1 file held on"
        self.decided = {"approve": "released", "block": "blocked"}[decision["choice"]]
        return "1 file moved"

    @property
    def is_unattested(self) -> bool:
        """Whether the upstream lists provenance objects that it has not served yet."""
        return self.scenario.unanswered > 0 and not self.answered

    @property
    def activities(self) -> list[Callable[..., Any]]:
        """All fake activities, bound to this scenario."""
        return [
            self.settle_release,
            self.refresh_release,
            self.store_held_files,
            self.plan_round,
            self.attach_release,
            self.check_release,
            self.note_check_fault,
            self.decide_releases,
            self.sift_signals,
        ]


def signal(name: str, *given: object, after: timedelta = DAY) -> Step:
    """A signal that is sent after a day."""
    return Step(after, name, given)


ENDS: dict[str, tuple[Step, ...]] = {
    "time": (),
    "approved": (signal("approve", REVIEW),),
    "rejected": (signal("reject", REVIEW),),
    "garbage": (signal("approve", "now!"), signal("reject", {"reviewer": 7}), signal("approve", None)),
    "woken": (signal("look_again"), signal("look_again"), signal("look_again", after=3 * DAY)),
    "twice": (signal("approve", REVIEW), signal("approve", REVIEW, after=timedelta())),
    "both": (signal("reject", REVIEW), signal("approve", REVIEW, after=timedelta())),
}
FETCHES = {"one": (1, 0), "five": (5, 0), "one-late": (1, 1), "five-late": (5, 2), "many": (30, 0)}


def scenarios() -> Iterator[Scenario]:
    """Every scenario, each with its own name."""
    yield from _ends_and_downloads()
    yield from _checks_and_codes()


def _ends_and_downloads() -> Iterator[Scenario]:
    for (end, steps), (fetch, (files, failing)) in product(ENDS.items(), FETCHES.items()):
        yield Scenario(f"{fetch}-{end}", steps, files, failing)
    for end in ("time", "approved", "garbage"):
        yield Scenario(f"outage-{end}", ENDS[end], outages=2)
        yield Scenario(f"outage-late-{end}", ENDS[end], files=3, failing=1, outages=1)
        yield Scenario(f"refused-{end}", ENDS[end], refuses=True)
        yield Scenario(f"unsearchable-{end}", ENDS[end], searchable=False)
        yield Scenario(f"no-window-{end}", ENDS[end], window=timedelta())
    yield Scenario("handed-on", decisions=("approve",))
    yield Scenario("handed-on-block", decisions=("block",), files=3)
    yield Scenario("handed-on-many", decisions=("approve", "approve", "block"), refuses=True)


def _checks_and_codes() -> Iterator[Scenario]:
    later = {**REVIEW, "days": 3}
    decide = {**REVIEW, "choice": "approve"}
    yield Scenario("extended", (signal("extend", later),))
    yield Scenario("extended-wrongly", (signal("extend", REVIEW), signal("extend", {**REVIEW, "days": -1})))
    yield Scenario("updated", (Step(DAY, "decide", (decide,), is_update=True),))
    yield Scenario("updated-late", (Step(DAY, "decide", (decide,), is_update=True),), files=5, failing=1)
    right, wrong = {**REVIEW, "code": "RIGHT"}, {**REVIEW, "code": "WRONG"}
    yield Scenario("coded", (signal("approve", wrong), signal("approve", right)), code="RIGHT")
    yield Scenario(
        "coded-at-once", (signal("reject", wrong), signal("approve", right, after=timedelta())), code="RIGHT"
    )
    yield Scenario("coded-wrongly", (signal("approve", wrong), signal("approve", REVIEW)), code="RIGHT")
    yield Scenario("coded-update", (Step(DAY, "decide", ({**decide, "code": "RIGHT"},), is_update=True),), code="RIGHT")
    yield Scenario("unknown-signals", (signal("unblock", REVIEW), signal("approve", right)))
    for end in ("time", "approved"):
        yield Scenario(f"checked-{end}", ENDS[end], checks=("names", "content"))
        yield Scenario(f"checked-long-{end}", ENDS[end], files=5, checks=("names",), portions=3)
        yield Scenario(f"compared-{end}", ENDS[end], checks=("names", "changes"), compares=True)
        yield Scenario(f"isolated-{end}", ENDS[end], checks=("names",), isolated=("acme", "scanner"))
        yield Scenario(f"check-broken-{end}", ENDS[end], checks=("names", "content"), broken=True)
        yield Scenario(f"unproved-{end}", ENDS[end], unanswered=1)


class Stage:
    """A time-skipping server on which scenarios are played."""

    def __init__(self, client: Client, environment: WorkflowEnvironment) -> None:
        self._client = client
        self._environment = environment

    async def play(self, scenario: Scenario) -> WorkflowHistory:
        """Play a scenario; return the history of the workflow's last run."""
        life = Life(scenario, self._environment.get_current_time)
        async with Worker(
            self._client,
            task_queue=QUEUE,
            workflows=[Quarantine],
            activities=life.activities,
            identity="recorder",
        ):
            handle = await self._start(scenario)
            # The workflow may end before the last step.
            with contextlib.suppress(RPCError):
                for step in scenario.steps:
                    await self._environment.sleep(step.after)
                    if step.is_update:
                        await handle.execute_update(step.name, args=list(step.given))
                    else:
                        await handle.signal(step.name, args=list(step.given))
            await handle.result()
            history: WorkflowHistory = await handle.fetch_history()
            return history

    async def _start(self, scenario: Scenario) -> Any:
        words = {"project": "lived", "version": "1.0", "reviewer": "admin", "reason": "handed on"}
        given = {
            "project": "lived",
            "version": "1.0",
            "searchable": scenario.searchable,
            "decisions": [{**words, "choice": choice} for choice in scenario.decisions],
        }
        return await self._client.start_workflow(
            "HeldRelease", given, id=f"quarantine/lived/{scenario.name}", task_queue=QUEUE
        )


async def record(lives: Sequence[Scenario], server: Path, target: Path) -> None:
    """Play scenarios, and store their histories in a compressed archive."""
    environment = await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(server), identity="recorder"
    )
    async with environment:
        await ensure_search_attributes(environment.client, "default")
        stage = Stage(environment.client, environment)
        with zipfile.ZipFile(target, "x", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for scenario in lives:
                history = await stage.play(scenario)
                archive.writestr(
                    zipfile.ZipInfo(f"{scenario.name}.json"), without_machine(history), zipfile.ZIP_DEFLATED
                )


def without_machine(history: WorkflowHistory) -> str:
    """Return a history as JSON, without the fields that identify a machine."""
    fields = json.loads(history.to_json(), object_hook=_without)
    return json.dumps(fields, separators=(",", ":"))


def _without(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name not in MACHINE}
