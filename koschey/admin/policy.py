"""The policy: every active rule, and for admins forms that set and lift a rule."""

from dataclasses import asdict, dataclass

from quart import Response, redirect, request, url_for
from quart.typing import ResponseReturnValue

from koschey.admin.confirmation import Confirmation, confirmation_for, read_consent
from koschey.admin.panel import blueprint, render
from koschey.admin.show import count_of
from koschey.admin.visit import account, visit
from koschey.auth.authorization import may
from koschey.auth.permissions import Action
from koschey.auth.sessions import leave_notice
from koschey.errors import NotKnown, Unconfirmed, UsageError
from koschey.governance.changes import Agreed, PolicyOutcome, set_rule, unset_rule
from koschey.governance.preview import Usual
from koschey.governance.report import show_policy
from koschey.governance.terms import SETTABLE, Terms
from koschey.model import Actor
from koschey.policy.findings import FindingAction
from koschey.policy.rules import EVERYTHING, FLAGS, Rule, RuleKind
from koschey.web.access import needs
from koschey.web.context import resources
from koschey.web.errors import status_of

DOOR = "admin"
FIELDS = ("kind", "scope", "subject", "value", "expires", "ticket", "reason")


@dataclass(frozen=True, slots=True)
class RuleDraft:
    """The fields of the form, which the page shows again if the change could not be carried out."""

    kind: str = ""
    scope: str = ""
    subject: str = ""
    value: str = ""
    expires: str = ""
    ticket: str = ""
    reason: str = ""


@blueprint.get("/policy", merge_slashes=False)
@needs(Action.AUDIT)
async def policy() -> Response:
    """Show all rules."""
    return await _page()


@blueprint.post("/policy", merge_slashes=False)
@needs(Action.MANAGE)
async def change_policy() -> ResponseReturnValue:
    """Set or lift one rule."""
    form = await request.form
    draft = RuleDraft(**{name: form.get(name, "").strip() for name in FIELDS})
    choice = form.get("choice", "")
    try:
        outcome = await _change(draft, lift=choice == "unset")
    except Unconfirmed as error:
        fields = {**asdict(draft), "choice": choice}
        confirmation = confirmation_for(error, url_for("admin.change_policy"), fields, draft.scope)
        return await _page(status_of(error)[0], str(error), draft, confirmation)
    except (UsageError, NotKnown) as error:
        return await _page(status_of(error)[0], str(error), draft)
    await leave_notice(resources().pool, visit().id, _say(outcome))
    return redirect(url_for("admin.policy"), 303)


def may_manage() -> bool:
    """Return whether to offer the forms. The functions that change the policy check the permission again."""
    return may(account(), Action.MANAGE, EVERYTHING)


async def _change(draft: RuleDraft, *, lift: bool) -> PolicyOutcome:
    actor = Actor(account().name, DOOR)
    agreed = Agreed(await read_consent(draft.scope), Usual(resources().settings.window, resources().feed))
    if lift:
        lifted = (draft.kind, draft.scope, draft.subject or None, draft.reason)
        return await resources().with_connection(unset_rule, actor, *lifted, agreed)
    optional = (draft.value or None, draft.subject or None)
    terms = Terms(draft.kind, draft.scope, *optional, draft.reason, ticket=draft.ticket or None)
    return await resources().with_connection(set_rule, actor, terms, agreed, expires=draft.expires or None)


async def _page(
    status: int = 200,
    error: str | None = None,
    draft: RuleDraft | None = None,
    confirmation: Confirmation | None = None,
) -> Response:
    shown = await resources().with_connection(show_policy, None)
    rules = sorted(shown.rules.rules, key=_order)
    return await render(
        "policy.html",
        status,
        error=error,
        draft=draft or RuleDraft(),
        confirmation=confirmation,
        rules=[rule for rule in rules if rule.kind is not RuleKind.EXCEPTION],
        exceptions=sorted((r for r in rules if r.kind is RuleKind.EXCEPTION), key=lambda r: str(r.expires_at)),
        observed=[rule for rule in rules if rule.kind is RuleKind.OBSERVED],
        checks=shown.checks,
        kinds=SETTABLE,
        flags=FLAGS,
        actions=tuple(FindingAction),
        days=resources().settings.quarantine_days,
        may_manage=may_manage(),
    )


def _order(rule: Rule) -> tuple[int, str, str, str]:
    return list(RuleKind).index(rule.kind), rule.scope, rule.version or "", rule.subject


def _say(outcome: PolicyOutcome) -> str:
    if outcome.serial is None:
        return "Nothing has changed: the policy already has this content."
    checked = f"{count_of(outcome.rejudged, 'held release')} re-checked"
    return ". ".join([f"The policy has changed (serial {outcome.serial}), {checked}", *outcome.effects.sentences]) + "."
