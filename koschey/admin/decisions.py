"""Turns a form into a decision: every button of the panel that decides calls `carry_out`."""

from dataclasses import asdict, dataclass

from packaging.utils import NormalizedName
from quart import request

from koschey.admin.confirmation import read_consent
from koschey.admin.visit import account, visit
from koschey.auth.authorization import may
from koschey.auth.permissions import Action
from koschey.auth.sessions import leave_notice
from koschey.errors import UsageError
from koschey.model import Actor
from koschey.quarantine.decide import Choice, Decision, DecisionOutcome, decide
from koschey.web.context import resources

DOOR = "admin"
MAX_VERSION = 200
WHOLE_PROJECT_ONLY = (Choice.TRUST, Choice.UNTRUST)
FOR_DAYS = (Choice.EXTEND, Choice.EXCEPT)
"""Choices that need a number of days."""
DONE = {
    Choice.APPROVE: "Approved",
    Choice.BLOCK: "Blocked",
    Choice.UNBLOCK: "Unblocked",
    Choice.TRUST: "The waiting time is skipped for",
    Choice.UNTRUST: "The waiting time is restored for",
    Choice.EXTEND: "Held longer:",
    Choice.EXCEPT: "Temporarily allowed",
    Choice.RECALL: "Recalled",
}


@dataclass(frozen=True, slots=True)
class DecisionDraft:
    """The fields of a form, which the page shows again if the decision could not be carried out."""

    project: str
    version: str
    reason: str
    days: str = ""
    ticket: str = ""
    choice: str = ""

    @property
    def fields(self) -> dict[str, str]:
        """The fields as the form sent them."""
        return asdict(self)


async def read_draft(project: str | None = None) -> DecisionDraft:
    """Read the form; the path or the form names the project."""
    form = await request.form
    reason, days, ticket = (form.get(name, "").strip() for name in ("reason", "days", "ticket"))
    named, choice = project or form.get("project", ""), form.get("choice", "")
    return DecisionDraft(named, form.get("version", ""), reason, days, ticket, choice)


async def carry_out(project: NormalizedName, draft: DecisionDraft) -> None:
    """Make the decision, and leave a notice of what changed. Raises `UsageError` with a message for the reviewer.

    Its subclass `Unconfirmed` means that the decision would hide files in use, and that the form does not agree to it.
    """
    choice = parse_choice(draft.choice)
    version = _parse_version(draft.version, choice)
    days = parse_days(draft.days) if choice in FOR_DAYS else None
    decision = Decision(choice, project, version, draft.reason, days=days, ticket=draft.ticket or None)
    consent = await read_consent(project)
    outcome = await resources().with_connection(decide, Actor(account().name, DOOR), decision, consent)
    await leave_notice(resources().pool, visit().id, _say(decision, outcome))


def may_decide(project: NormalizedName) -> bool:
    """Return whether to offer forms for a project. `decide` checks the permission again."""
    return may(account(), Action.DECIDE, project)


def may_see(project: NormalizedName) -> bool:
    """Return whether to show what waits for a decision about a project, and who downloaded its files."""
    return may(account(), Action.AUDIT, project)


def parse_choice(text: str) -> Choice:
    """Parse a choice. Raises `UsageError`."""
    try:
        return Choice(text)
    except ValueError:
        raise UsageError(f"there is no decision {text[:40]!r}; choose one of {', '.join(Choice)}") from None


def parse_days(text: str) -> float:
    """Parse a number of days; `Decision` checks its range. Raises `UsageError`."""
    try:
        return float(text)
    except ValueError:
        raise UsageError("give the number of days, such as 7") from None


def _parse_version(text: str, choice: Choice) -> str | None:
    """Return the version as the files have it. It is not parsed, because old ones do not always follow PEP 440."""
    if len(text) > MAX_VERSION or not text.isprintable():
        raise UsageError("the version is not valid; send at most 200 printable characters")
    if text and choice in WHOLE_PROJECT_ONLY:
        raise UsageError(f"{choice} is for the whole project, not for one release")
    return text or None


def _say(decision: Decision, outcome: DecisionOutcome) -> str:
    scope = f"{decision.project} {decision.version}" if decision.version else decision.project
    if outcome.waits:
        return f"{scope}: {decision.choice} {outcome}."
    if outcome.serial is None:
        return f"{scope}: nothing has changed; the decision {decision.choice} already applies."
    return f"{DONE[decision.choice]} {scope} ({outcome})."
