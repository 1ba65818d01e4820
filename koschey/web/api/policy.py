"""The policy for programs: read it, put another in its place, or change one rule."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from packaging.utils import NormalizedName
from quart import request

from koschey.auth.identity import authorize
from koschey.auth.permissions import Action
from koschey.db.pool import ACQUIRE_TIMEOUT, Connection
from koschey.db.projects import select_now
from koschey.db.rules import lock_policy
from koschey.errors import Stale
from koschey.governance.changes import (
    Agreed,
    PolicyOutcome,
    apply_policy,
    select_policy,
    set_rule,
    unset_rule,
)
from koschey.governance.preview import Preview, Usual, preview_policy
from koschey.governance.report import show_policy
from koschey.governance.terms import Terms, as_utc, parse_rules, scope_text
from koschey.policy.changes import RuleChange, replaceable, tag_of
from koschey.policy.outlook import Outlook
from koschey.policy.rules import EVERYTHING, Rule, RuleKind
from koschey.quarantine.impact import consent_to
from koschey.web.api.expected import read_expected
from koschey.web.api.operations import Call, operation
from koschey.web.api.policy_types import (
    BlockedRelease,
    ChangedRule,
    FileOutlook,
    KnownCheckShown,
    LateName,
    LiftedRule,
    NewPolicy,
    NewRule,
    PolicyChange,
    PolicyQuery,
    PolicyState,
    RuleTerms,
    ShownRule,
)
from koschey.web.context import resources

MAX_POLICY = 2**20
"""Bytes of a whole policy."""


@operation("GET", "/policy", PolicyQuery, PolicyState, needs=Action.DECIDE)
async def read_policy(call: Call[PolicyQuery]) -> PolicyState:
    """Return all rules in force, or those that cover one project, and what counts where none says otherwise."""
    async with resources().pool.acquire(timeout=ACQUIRE_TIMEOUT) as connection:
        shown = await show_policy(connection, call.sent.name)
        whole = shown.rules.rules if call.sent.name is None else await select_policy(connection)
    return PolicyState(
        tag=tag_of(replaceable(whole)),
        window_days=resources().settings.quarantine_days,
        observed=[scope_text(rule) for rule in shown.rules.rules if rule.kind is RuleKind.OBSERVED],
        rules=[_show(rule) for rule in shown.rules.rules],
        checks=[KnownCheckShown(name=check.name, proposes=dict(check.proposed)) for check in shown.checks],
    )


@operation(
    "PUT", "/policy", NewPolicy, PolicyChange, needs=Action.MANAGE, max_body=MAX_POLICY, also=(428,), misses=False
)
async def put_policy(call: Call[NewPolicy]) -> PolicyChange:
    """Put exactly these rules in force, beside exceptions; or with `dry_run` say what that would do."""
    authorize(call.account, Action.MANAGE, NormalizedName(EVERYTHING))
    async with _policy_as_expected() as connection:
        now = await select_now(connection)
        wanted = parse_rules([_terms(rule) for rule in call.sent.rules], call.actor.name, now)
        if not call.sent.dry_run:
            agreed = _agreed(call.sent.confirm)
            done = await apply_policy(connection, call.actor, wanted, call.sent.reason, agreed)
            return await _changed(connection, done)
        tag = tag_of(await select_policy(connection))
    # Outside of that transaction: it reads for long, and locks nothing.
    async with resources().pool.acquire(timeout=ACQUIRE_TIMEOUT) as connection:
        preview = await preview_policy(connection, wanted, _usual())
    return _foretold(preview, tag)


@operation("POST", "/policy/rules", NewRule, PolicyChange, needs=Action.MANAGE, also=(428,), misses=False)
async def put_rule(call: Call[NewRule]) -> PolicyChange:
    """Put one rule in force, in place of the one of the same kind, scope and subject."""
    async with _policy_as_expected() as connection:
        done = await set_rule(connection, call.actor, _terms(call.sent), _agreed(call.sent.confirm))
        return await _changed(connection, done)


@operation("DELETE", "/policy/rules", LiftedRule, PolicyChange, needs=Action.MANAGE, also=(428,))
async def lift_rule(call: Call[LiftedRule]) -> PolicyChange:
    """Lift one rule."""
    sent = call.sent
    async with _policy_as_expected() as connection:
        lifted = (sent.kind, sent.scope, sent.subject, sent.reason)
        done = await unset_rule(connection, call.actor, *lifted, _agreed(sent.confirm))
        return await _changed(connection, done)


@asynccontextmanager
async def _policy_as_expected() -> AsyncIterator[Connection]:
    """Open a transaction in which the policy is as `If-Match` says. Raises as `as_expected` does."""
    expected = read_expected(request.headers.get("If-Match"))
    async with resources().pool.acquire(timeout=ACQUIRE_TIMEOUT) as connection, connection.transaction():
        if expected is not None:
            await lock_policy(connection)
            if tag_of(await select_policy(connection)) != expected:
                raise Stale("the policy is not as it was when it was read; look at it again, then decide")
        yield connection


def _usual() -> Usual:
    return Usual(resources().settings.window, resources().feed)


def _agreed(confirm: int | None) -> Agreed:
    return Agreed(consent_to(confirm), _usual())


def _terms(rule: RuleTerms) -> Terms:
    expires = as_utc(rule.ends) if rule.ends else None
    value = None if rule.value is None else str(rule.value)
    return Terms(rule.kind, rule.scope, value, rule.subject, rule.reason, expires, rule.ticket)


async def _changed(connection: Connection, outcome: PolicyOutcome) -> PolicyChange:
    return PolicyChange(
        tag=tag_of(await select_policy(connection)),
        serial=outcome.serial,
        changed=outcome.serial is not None,
        releases_judged_anew=outcome.judged_anew,
        files_served_no_more=outcome.effects.closed,
        files_served_again=outcome.effects.opened,
        mirrored=[
            LateName(name=each.name, files=each.files, downloaded=each.downloaded)
            for each in outcome.effects.late.names
        ],
        still_blocked=[
            BlockedRelease(project=each.project, version=each.version, files=each.files)
            for each in outcome.effects.still_blocked
        ],
        rules=[_show_change(change) for change in outcome.changes],
        files=[],
    )


def _foretold(preview: Preview, tag: int) -> PolicyChange:
    return PolicyChange(
        tag=tag,
        serial=None,
        changed=False,
        releases_judged_anew=0,
        files_served_no_more=0,
        files_served_again=0,
        mirrored=[],
        still_blocked=[],
        rules=[_show_change(change) for change in preview.changes],
        files=[_show_outlook(outlook) for outlook in preview.outlooks],
    )


def _show_change(change: RuleChange) -> ChangedRule:
    before, after = (_show(rule) if rule else None for rule in (change.before, change.after))
    return ChangedRule(change=change.mark, before=before, after=after)


def _show_outlook(outlook: Outlook) -> FileOutlook:
    file = outlook.item.file
    return FileOutlook(
        project=file.project,
        version=file.version,
        filename=file.filename,
        change=outlook.mark,
        state=outlook.after.state,
        why=outlook.after.reason,
        release_at=outlook.release_at,
        release_at_before=outlook.item.standing.release_at,
    )


def _show(rule: Rule) -> ShownRule:
    return ShownRule(
        kind=rule.kind,
        scope=scope_text(rule),
        subject=rule.subject or None,
        value=rule.value or None,
        reason=rule.reason,
        author=rule.actor,
        ends=rule.expires_at,
        ticket=rule.ticket,
    )
