"""The policy for programs: read it, replace it, or change one rule."""

from koschey.auth.authorization import authorize
from koschey.auth.permissions import Action
from koschey.governance.changes import (
    Agreed,
    PolicyOutcome,
    apply_terms,
    set_rule,
    unset_rule,
)
from koschey.governance.preview import Preview, Usual, preview_terms
from koschey.governance.report import show_policy
from koschey.governance.terms import Terms, as_utc, scope_text
from koschey.policy.changes import RuleChange
from koschey.policy.prediction import Prediction
from koschey.policy.rules import EVERYTHING, Rule, RuleKind
from koschey.quarantine.impact import consent_to
from koschey.web.api.expected import read_expected
from koschey.web.api.operations import Call, operation
from koschey.web.api.policy_types import (
    BlockedRelease,
    ChangedRule,
    FilePrediction,
    KnownCheckShown,
    LiftedRule,
    NewPolicy,
    NewRule,
    PolicyChange,
    PolicyQuery,
    PolicyState,
    RuleTerms,
    ShownRule,
    UnclaimedName,
)
from koschey.web.context import resources

MAX_POLICY = 2**20
"""Maximum bytes of a whole policy."""


@operation("GET", "/policy", PolicyQuery, PolicyState, needs=Action.AUDIT, overview=True)
async def read_policy(call: Call[PolicyQuery]) -> PolicyState:
    """Return all active rules, or those that cover one project, and the defaults."""
    shown = await resources().with_connection(show_policy, call.sent.name)
    return PolicyState(
        tag=shown.tag,
        window_days=resources().settings.quarantine_days,
        observed=[scope_text(rule) for rule in shown.rules.rules if rule.kind is RuleKind.OBSERVED],
        rules=[_show(rule) for rule in shown.rules.rules],
        checks=[KnownCheckShown(name=check.name, proposes=dict(check.proposed)) for check in shown.checks],
    )


@operation(
    "PUT", "/policy", NewPolicy, PolicyChange, needs=Action.MANAGE, max_body=MAX_POLICY, also=(428,), misses=False
)
async def put_policy(call: Call[NewPolicy]) -> PolicyChange:
    """Replace all rules except exceptions by these; with `dry_run`, only report what that would do."""
    authorize(call.account, Action.MANAGE, EVERYTHING)
    sent, terms = call.sent, [_terms(rule) for rule in call.sent.rules]
    if sent.dry_run:
        arguments = (call.actor, terms, _usual(), read_expected())
        return _predicted(await resources().with_connection(preview_terms, *arguments))
    agreed = _agreed(sent.confirm)
    return _changed(await resources().with_connection(apply_terms, call.actor, terms, sent.reason, agreed))


@operation("POST", "/policy/rules", NewRule, PolicyChange, needs=Action.MANAGE, also=(428,), misses=False)
async def put_rule(call: Call[NewRule]) -> PolicyChange:
    """Set one rule. It replaces the rule of the same kind, scope and subject."""
    arguments = (call.actor, _terms(call.sent), _agreed(call.sent.confirm))
    return _changed(await resources().with_connection(set_rule, *arguments))


@operation("DELETE", "/policy/rules", LiftedRule, PolicyChange, needs=Action.MANAGE, also=(428,))
async def lift_rule(call: Call[LiftedRule]) -> PolicyChange:
    """Remove one rule."""
    sent = call.sent
    lifted = (sent.kind, sent.scope, sent.subject, sent.reason)
    return _changed(await resources().with_connection(unset_rule, call.actor, *lifted, _agreed(sent.confirm)))


def _usual() -> Usual:
    return Usual(resources().settings.window, resources().feed)


def _agreed(confirm: int | None) -> Agreed:
    return Agreed(consent_to(confirm), _usual(), read_expected())


def _terms(rule: RuleTerms) -> Terms:
    expires = as_utc(rule.ends) if rule.ends else None
    value = None if rule.value is None else str(rule.value)
    return Terms(rule.kind, rule.scope, value, rule.subject, rule.reason, expires, rule.ticket)


def _changed(outcome: PolicyOutcome) -> PolicyChange:
    return PolicyChange(
        tag=outcome.tag,
        serial=outcome.serial,
        changed=outcome.serial is not None,
        releases_judged_anew=outcome.rejudged,
        files_served_no_more=outcome.effects.closed,
        files_served_again=outcome.effects.opened,
        mirrored=[
            UnclaimedName(name=each.name, files=each.files, downloaded=each.downloaded)
            for each in outcome.effects.mirrored_names.names
        ],
        still_blocked=[
            BlockedRelease(project=each.project, version=each.version, files=each.files)
            for each in outcome.effects.still_blocked
        ],
        rules=[_show_change(change) for change in outcome.changes],
        files=[],
    )


def _predicted(preview: Preview) -> PolicyChange:
    return PolicyChange(
        tag=preview.tag,
        serial=None,
        changed=False,
        releases_judged_anew=0,
        files_served_no_more=0,
        files_served_again=0,
        mirrored=[],
        still_blocked=[],
        rules=[_show_change(change) for change in preview.changes],
        files=[_show_prediction(prediction) for prediction in preview.predictions],
    )


def _show_change(change: RuleChange) -> ChangedRule:
    before, after = (_show(rule) if rule else None for rule in (change.before, change.after))
    return ChangedRule(change=change.mark, before=before, after=after)


def _show_prediction(prediction: Prediction) -> FilePrediction:
    file = prediction.item.file
    return FilePrediction(
        project=file.project,
        version=file.version,
        filename=file.filename,
        change=prediction.mark,
        state=prediction.after.state,
        why=prediction.after.reason,
        release_at=prediction.release_at,
        release_at_before=prediction.item.standing.release_at,
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
