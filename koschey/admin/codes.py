"""Codes for Temporal: each is shown once, with all that it is bound to and with command lines to copy."""

from quart import Response, request

from koschey.admin.decisions import DOOR, parse_choice, parse_days
from koschey.admin.panel import blueprint, render
from koschey.admin.visit import account
from koschey.auth.permissions import Action
from koschey.errors import UsageError
from koschey.model import Actor
from koschey.policy.reasons import parse_reason
from koschey.quarantine.decision import Choice
from koschey.quarantine.reviewer_codes import check_codes_decide, issue_code
from koschey.quarantine.shown_releases import Release
from koschey.quarantine.signal_commands import SIGNALS, signal_input, signal_lines
from koschey.settings.signal_decisions import signal_decisions
from koschey.standards.names import parse_name
from koschey.web.access import needs
from koschey.web.context import resources

SEPARATOR = "=="


@blueprint.post("/codes", merge_slashes=False)
@needs(Action.DECIDE)
async def show_code() -> Response:
    """Make a code for the release that the form names, or for all releases that it lists, and show it."""
    check_codes_decide(signal_decisions(resources().settings.decisions_by_signal))
    form = await request.form
    choice, given = parse_choice(form.get("choice", "")), form.get("reason", "")
    reason = parse_reason(given) if given.strip() else ""  # the signal can give it
    days = parse_days(form.get("days", "").strip()) if choice is Choice.EXTEND else None
    listed = form.getlist("release") or [f"{form.get('project', '')}{SEPARATOR}{form.get('version', '')}"]
    arguments = (Actor(account().name, DOOR), choice, [_parse(text) for text in listed], resources().feed, days)
    issued = await resources().with_connection(issue_code, *arguments)
    return await render(
        "codes.html",
        issued=issued,
        signal=SIGNALS[issued.choice],
        input=signal_input(issued, reason),
        lines=signal_lines(issued, reason),
    )


def _parse(text: str) -> Release:
    """Parse a release as the panel's own forms name it; old versions do not always follow PEP 440."""
    name, _, version = text.partition(SEPARATOR)
    if not version or len(version) > 200 or not version.isprintable():
        raise UsageError("choose a release; a code is for one release, or for several")
    return parse_name(name), version
