"""The one function that carries out every person's decision, whichever interface it came through.

It checks the permission, then writes decision, states and journal in one transaction; the commit notifies every web
process. Block beats approve: a blocked file must be unblocked first, and then is held.
"""

from collections.abc import Awaitable, Callable

from koschey.auth.authorization import authorize_actor
from koschey.auth.permissions import Action
from koschey.db import files, projects
from koschey.db.journal import select_serial
from koschey.db.pool import Connection
from koschey.model import Actor, Serial
from koschey.policy.rules import Rule, RuleKind
from koschey.quarantine.choices.blocking import block, recall, unblock
from koschey.quarantine.choices.change import DecisionChange
from koschey.quarantine.choices.exception import make_exception
from koschey.quarantine.choices.extension import extend
from koschey.quarantine.choices.release import approve, trust, untrust
from koschey.quarantine.decision import Choice, Decision, DecisionOutcome
from koschey.quarantine.impact import FULL_CONSENT, Consent, measure

__all__ = ["Choice", "Decision", "DecisionOutcome", "decide", "decide_as_seen"]

CHOICES: dict[Choice, Callable[[DecisionChange], Awaitable[DecisionOutcome]]] = {
    Choice.APPROVE: approve,
    Choice.BLOCK: block,
    Choice.UNBLOCK: unblock,
    Choice.TRUST: trust,
    Choice.UNTRUST: untrust,
    Choice.EXTEND: extend,
    Choice.EXCEPT: make_exception,
    Choice.RECALL: recall,
}


async def decide(
    connection: Connection, actor: Actor, decision: Decision, consent: Consent = FULL_CONSENT
) -> DecisionOutcome:
    """Carry out a decision.

    Raises `NotAllowed` if the reviewer may not decide this, `NotKnown` if there is no such release, `Unconfirmed` if
    the decision would hide files in use and `consent` does not allow that, and `UsageError` if the decision cannot be
    made in the current state.
    """
    decision = decision.checked()
    async with connection.transaction():
        await authorize_actor(connection, actor, Action.DECIDE, decision.project)
        project = await projects.lock_project(connection, decision.project)
        known = await files.lock_release_files(connection, decision.project, decision.version)
        if consent != FULL_CONSENT and _is_guarded(decision):
            closing = Rule(RuleKind.BLOCKED, decision.version, decision.reason, actor.name, decision.project)
            consent.check(await measure(connection, [closing]))
        return await CHOICES[decision.choice](DecisionChange(connection, actor, decision, project, known))


async def decide_as_seen(
    connection: Connection, actor: Actor, decision: Decision, consent: Consent, expected: Serial | None
) -> tuple[DecisionOutcome, Serial]:
    """Carry out a decision if the project is still at the serial `expected` that the reviewer saw; None allows any.

    Returns the outcome and the serial of the project after it; for an unknown name, the serial of the journal. Raises
    as `decide` does, and `Stale` if the project is at another serial.
    """
    async with connection.transaction():
        project = await projects.lock_project(connection, decision.project, expected)
        outcome = await decide(connection, actor, decision, consent)
        return outcome, outcome.serial or (project.serial if project else await select_serial(connection))


def _is_guarded(decision: Decision) -> bool:
    """Return whether a decision may stop all installs of a project, or recalls files that machines already have."""
    return decision.choice is Choice.RECALL or (decision.choice is Choice.BLOCK and decision.version is None)
