"""One project: where it comes from, what is in force for it, and every release with its files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from packaging.utils import NormalizedName
from packaging.version import InvalidVersion, Version
from quart import Response, redirect, request, url_for
from quart.typing import ResponseReturnValue

from koschey.admin.confirming import Confirmation, ask_again
from koschey.admin.decisions import Draft, carry_out, may_decide, read_draft
from koschey.admin.evidence import ShownEvidence, show_evidence
from koschey.admin.panel import blueprint, render
from koschey.admin.show import without_login
from koschey.db import browse, files, policies, projects
from koschey.db.browse import RuleInForce
from koschey.db.left_out import select_left_out
from koschey.errors import NotKnown, Unconfirmed, UsageError
from koschey.model import File, FileId, LeftOut, Standing, StandingFile, State
from koschey.policy.findings import Evidence
from koschey.policy.rules import RuleKind
from koschey.policy.verdict import Policy, verdict
from koschey.quarantine.evidence import gather_evidence
from koschey.quarantine.settle import STATES_BY_WEIGHT
from koschey.standards.names import parse_name
from koschey.standards.upstream_page import CAUSES
from koschey.web.context import resources
from koschey.web.errors import status_of

PER_PAGE = 50
"""Releases on one page."""
ENTRIES = 20
"""Journal entries on the page."""


@dataclass(frozen=True, slots=True)
class ShownFile:
    """A file with what the one verdict says of it now, which is what every client is told."""

    file: File
    standing: Standing
    state: State
    reason: str
    served: bool
    evidence: ShownEvidence


@dataclass(frozen=True, slots=True)
class ShownRelease:
    """A release as the page shows it."""

    version: str
    files: Sequence[ShownFile]
    blocked_by_rule: bool

    @property
    def state(self) -> State:
        """The state of the file that most wants attention."""
        return min((shown.state for shown in self.files), key=STATES_BY_WEIGHT.index)

    @property
    def release_at(self) -> datetime | None:
        """When time releases the first of its held files."""
        held = [shown.standing.release_at for shown in self.files if shown.state is State.HELD]
        return min((moment for moment in held if moment), default=None)

    @property
    def reasons(self) -> list[str]:
        """Why its files are in that state."""
        return sorted({shown.reason for shown in self.files if shown.state is self.state})

    @property
    def choices(self) -> list[str]:
        """What can be decided as things stand."""
        states = {shown.standing.state for shown in self.files}
        stuck = states & {State.MALFORMED, State.CONFLICT, State.BLOCKED}
        waits = State.HELD in states and not stuck and not self.blocked_by_rule
        return [
            *(["approve", "extend", "except"] if waits else []),
            *(["block", "recall"] if states - {State.BLOCKED, State.REMOVED} else []),
            *(["unblock"] if State.BLOCKED in states or self.blocked_by_rule else []),
        ]


@blueprint.get("/projects/<project>", merge_slashes=False)
async def project(project: str) -> ResponseReturnValue:
    """Show a project."""
    name = parse_name(project)
    if name != project:
        return redirect(url_for("admin.project", project=name), 301)
    return await _page(name)


@blueprint.post("/projects/<project>", merge_slashes=False)
async def decide_on_project(project: str) -> ResponseReturnValue:
    """Decide on the project or on one of its releases."""
    name = parse_name(project)
    draft = await read_draft(name)
    try:
        await carry_out(name, draft)
    except UsageError as error:
        return await _page(name, status_of(error)[0], str(error), draft, unconfirmed=error)
    return redirect(url_for("admin.project", project=name, **_place()), 303)


async def _page(
    name: NormalizedName,
    status: int = 200,
    error: str | None = None,
    draft: Draft | None = None,
    *,
    unconfirmed: UsageError | None = None,
) -> Response:
    pool = resources().pool
    found = await projects.select_project(pool, name)
    rules = await browse.select_rules_in_force(pool, name)
    if found is None and not rules:
        raise NotKnown(error or f"{name} is not known here; ask the index for the project's page first")
    policy = await policies.load_policy(pool, found) if found else Policy()
    known = await files.select_project_files(pool, name)
    now = await projects.select_now(pool)
    policy, evidence = await gather_evidence(pool, known, policy, resources().feed, now)
    releases = _releases(known, policy, evidence, rules, now)
    number = int(_place().get("page", 1))
    shown = releases[(number - 1) * PER_PAGE : number * PER_PAGE]
    return await render(
        "project.html",
        status,
        error=error,
        draft=draft,
        confirmation=_confirmation(name, draft, unconfirmed),
        name=name,
        project=found,
        upstream=without_login(resources().settings.upstream_url),
        rules=rules,
        releases=shown,
        total=len(releases),
        files=len(known),
        number=number,
        last=number * PER_PAGE >= len(releases),
        origins=await browse.select_origins(pool, name),
        attestations=await browse.select_attestations(pool, name),
        left_out=await select_left_out(pool, name) if found and found.left_out else LeftOut(),
        causes=CAUSES,
        entries=await browse.select_project_journal(pool, name, limit=ENTRIES),
        choices=_project_choices(name, rules) if may_decide(name) else [],
        may_decide=may_decide(name),
    )


def _releases(
    known: Sequence[StandingFile],
    policy: Policy,
    evidence: Mapping[FileId, Evidence],
    rules: Sequence[RuleInForce],
    now: datetime,
) -> list[ShownRelease]:
    """Group files by release, the newest version first."""
    blocked = {rule.version for rule in rules if rule.kind is RuleKind.BLOCKED}
    by_version = attrgetter("file.version")
    grouped = groupby(sorted(known, key=by_version), key=by_version)
    releases = [
        ShownRelease(version, [_judge(item, policy, evidence[item.file.id], now) for item in items], version in blocked)
        for version, items in grouped
    ]
    return sorted(releases, key=lambda release: _order(release.version), reverse=True)


def _judge(item: StandingFile, policy: Policy, evidence: Evidence, now: datetime) -> ShownFile:
    judged = verdict(item.file, item.standing, policy, now, evidence)
    state, reason = judged.state, judged.reason
    if judged.state is State.RELEASED and not judged.served:
        state, reason = item.standing.state, f"about to be released: {judged.reason}"
    shown = show_evidence(item.file, item.standing.state, policy, evidence)
    return ShownFile(item.file, item.standing, state, reason, judged.served, shown)


def _order(version: str) -> tuple[bool, Version, str]:
    """Order versions as PEP 440 does; what is none comes after all others on the page."""
    try:
        return True, Version(version), ""
    except InvalidVersion:
        return False, Version("0"), version


def _project_choices(name: NormalizedName, rules: Sequence[RuleInForce]) -> list[str]:
    """Return what can be decided for the whole project; a block of one release is lifted at the release."""
    whole = {rule.kind for rule in rules if rule.version is None and rule.scope == name}
    return [
        "untrust" if RuleKind.TRUSTED in whole else "trust",
        "unblock" if RuleKind.BLOCKED in whole else "block",
    ]


def _confirmation(name: NormalizedName, draft: Draft | None, error: UsageError | None) -> Confirmation | None:
    if draft is None or not isinstance(error, Unconfirmed):
        return None
    return ask_again(error, url_for("admin.decide_on_project", project=name, **_place()), draft.fields, name)


def _place() -> dict[str, Any]:
    number = request.args.get("page", "")[:6]
    return {"page": number} if number.isascii() and number.isdigit() and int(number) > 1 else {}
