"""Decisions about which files are released, by the same function as on every other surface."""

from koschey.auth.authorization import authorize
from koschey.auth.permissions import Action
from koschey.errors import UsageError
from koschey.model import Sha256
from koschey.quarantine.decide import Choice, Decision, decide_as_seen
from koschey.quarantine.impact import consent_to
from koschey.standards.names import parse_name, parse_version
from koschey.web.api.expected import read_expected
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import Changed, NewDecision
from koschey.web.context import resources

WHOLE_PROJECT_ONLY = (Choice.TRUST, Choice.UNTRUST)


@operation("POST", "/decisions", NewDecision, Changed, needs=Action.DECIDE, also=(428,))
async def make_decision(call: Call[NewDecision]) -> Changed:
    """Approve, block, recall, unblock, trust, untrust, extend a quarantine or make an exception."""
    sent = call.sent
    name = parse_name(sent.project)
    decision = Decision(
        sent.choice,
        name,
        _parse_version(sent),
        sent.reason,
        days=sent.days,
        filename=sent.filename,
        sha256=Sha256(sent.sha256.lower()) if sent.sha256 else None,
        ticket=sent.ticket,
    )
    # Checks the account as the credentials gave it; `decide` checks again in the database.
    authorize(call.account, Action.DECIDE, name)
    arguments = (call.actor, decision, consent_to(sent.confirm), read_expected())
    outcome, serial = await resources().with_connection(decide_as_seen, *arguments)
    changed = outcome.serial is not None
    return Changed(project=name, serial=serial, changed=changed, files=outcome.filenames, waits=outcome.waits)


def _parse_version(sent: NewDecision) -> str | None:
    if sent.version is None:
        return None
    if sent.choice in WHOLE_PROJECT_ONLY:
        raise UsageError(f"{sent.choice} is for the whole project, not for one release")
    return stored_version(sent.version)


def stored_version(text: str) -> str:
    """Return a version as the files have it: normalised, or unchanged if it does not follow PEP 440."""
    try:
        return parse_version(text)
    except UsageError:
        return text
