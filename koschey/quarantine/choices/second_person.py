"""Decisions that need two people: one proposes, and another agrees by the same decision about the same bytes."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from koschey.auth.authorization import COMMAND_LINE, is_authorized
from koschey.auth.permissions import Action
from koschey.db import journal
from koschey.db.journal import Entry
from koschey.db.proposals import Proposal, close_proposals, insert_proposal, select_involvement, select_open_proposal
from koschey.errors import NotAllowed, UsageError
from koschey.events import Event
from koschey.model import Actor, StandingFile
from koschey.policy.rules import RuleKind, Rules
from koschey.quarantine.choices.change import DecisionChange
from koschey.quarantine.decision import DecisionOutcome


async def agree_by_policy(
    change: DecisionChange, active_rules: Rules, bound: Sequence[StandingFile], *, ends_at: datetime | None = None
) -> DecisionChange | DecisionOutcome:
    """Do as `agree` if a rule requires a second person; otherwise return the change as it is."""
    # A rule for all versions also counts if no file is bound yet: trust is about future files.
    is_required = active_rules.find_project_wide(RuleKind.SECOND_PERSON) or any(
        active_rules.find(RuleKind.SECOND_PERSON, known.file.version) for known in bound
    )
    return await agree(change, bound, ends_at=ends_at) if is_required else change


async def agree(
    change: DecisionChange, bound: Sequence[StandingFile], *, ends_at: datetime | None = None
) -> DecisionChange | DecisionOutcome:
    """Return the change with the proposal that it agrees to; or propose it, and return an outcome that is pending.

    A proposal about other bytes is stale, and the new proposal replaces it. Raises `UsageError` for a signal: a signal
    proves no name, so its sender can be neither the first person nor the second. Raises `NotAllowed` for an account
    that uploaded or requested the release: both people have to be others.
    """
    if change.actor.door == "signal":
        raise UsageError(
            "this decision needs two people, and a signal does not prove who sent it; decide in the panel or by the API"
        )
    decision = change.decision
    await _require_independence(change)
    digests = sorted({known.file.sha256 or known.file.filename for known in bound})
    found = await select_open_proposal(change.connection, decision.choice, decision.project, decision.version)
    if found is None or found.digests != digests or not await _still_may(change, found):
        return await _propose(change, digests, ends_at)
    if found.actor == change.actor.name:
        return DecisionOutcome(None, (), waits=True)
    return replace(change, seconds=found)


async def _require_independence(change: DecisionChange) -> None:
    if change.actor.door == COMMAND_LINE:  # the name of its user is none of an account
        return
    decision, name = change.decision, change.actor.name
    involved = await select_involvement(change.connection, decision.project, decision.version, name)
    if involved is not None:
        raise NotAllowed(f"{name} {involved} {decision.scope}, and where two people are needed, others must decide")


async def _still_may(change: DecisionChange, proposal: Proposal) -> bool:
    """Return whether the first person may still decide this; the proposal of one who left or lost the role is void."""
    first = Actor(proposal.actor, proposal.door)
    return await is_authorized(change.connection, first, Action.DECIDE, change.decision.project)


async def _propose(change: DecisionChange, digests: list[str], ends_at: datetime | None) -> DecisionOutcome:
    decision, connection = change.decision, change.connection
    await close_proposals(connection, decision.project, decision.version or "", decision.choice, change.actor.name)
    await insert_proposal(
        connection,
        Proposal(
            decision.choice,
            decision.project,
            decision.version,
            digests,
            decision.reason,
            decision.ticket,
            ends_at,
            change.actor.name,
            change.actor.door,
        ),
    )
    detail: dict[str, object] = {"choice": decision.choice, "reason": decision.reason, "digests": digests}
    serial = await journal.insert_entries(
        connection, change.actor, Event.PROPOSE, decision.project, [Entry(decision.version, None, detail)]
    )
    return DecisionOutcome(serial, (), waits=True)
