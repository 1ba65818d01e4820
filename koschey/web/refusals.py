"""Refuses files in a way that reaches a developer at a terminal.

Every refusal of a file is a redirect to a URL that explains itself, because pip prints only the URL of an answer:
`/held/six-1.17.0/quarantine-until-2026-11-29/ask-with-koschey-request/six-1.17.0-py2.py3-none-any.whl`. The two parts
between release and filename only inform the reader. This URL answers with the refusal itself, whose body has all
details.
"""

from urllib.parse import quote

from quart import Response

from koschey import addresses
from koschey.model import StandingFile, State
from koschey.policy.availability import ASKABLE, FileAccount, request_command
from koschey.serving.explanations import release_word
from koschey.standards.simple_json import format_time
from koschey.texts import shell_line
from koschey.web.context import resources
from koschey.web.errors import problem
from koschey.web.redirects import sent_on

ASK = "ask-with-koschey-request"
WORDS = {
    State.HELD: ("held-until-a-reviewer-decides", ASK),
    State.BLOCKED: ("blocked", ASK),
    State.CONFLICT: ("conflict-its-bytes-have-changed", ASK),
    State.MALFORMED: ("malformed", ASK),
    State.REMOVED: ("removed", "its-name-stays-used"),
}


async def refuse(item: StandingFile, beside: str = "") -> Response:
    """Redirect a client to the URL that says why it does not get a file, or the object with the suffix `beside`."""
    account = await resources().explanations.file(item)
    if item.file.set_aside_at is not None:
        return _set_aside(item.file.project, account)
    return sent_on(refusal_path(item.file.project, account, beside))


def _set_aside(project: str, account: FileAccount) -> Response:
    """Refuse a file of the project's former origin without a redirect: another file may have its name by now."""
    return problem(
        403,
        f"{project} {account.version} is {account.state}",
        f"{account.filename} is {account.state}: {account.reason}. Resolve {project} again.",
        project=project,
        version=account.version,
        filename=account.filename,
        state=account.state,
        reason=account.reason,
        help=resources().addresses.absolute(addresses.held_project(project)),
    )


def refusal_path(project: str, account: FileAccount, beside: str = "") -> str:
    """Return the path that explains a refusal; it discloses nothing about the file's bytes."""
    # A file that was released just now is called held here; the page at that path redirects the client to the file.
    word, ask = WORDS.get(account.state, WORDS[State.HELD])
    if account.state is State.HELD and account.release_at:
        word = f"quarantine-until-{account.release_at:%Y-%m-%d}"
    return f"/held/{release_word(project, account.version)}/{word}/{ask}/{quote(account.filename, safe='')}{beside}"


def refusal(project: str, account: FileAccount, free: str | None) -> Response:
    """Return the answer that says why a file is not served, until when, and how to request it (RFC 9457)."""
    own_addresses = resources().addresses
    askable = account.state in {State(state) for state in ASKABLE}
    command = f"{request_command(project, account.version)} --reason WHY"
    return problem(
        410 if account.state is State.REMOVED else 403,
        f"{project} {account.version} is {account.state}",
        told(project, account, free),
        project=project,
        version=account.version,
        filename=account.filename,
        state=account.state,
        reason=account.reason,
        release_at=format_time(account.release_at) if account.release_at else None,
        findings=account.findings,
        free=free,
        help=own_addresses.absolute(addresses.held_project(project)),
        ask={"command": command, "url": own_addresses.absolute(addresses.REQUESTS)} if askable else None,
    )


def missing_project(name: str) -> Response:
    """Return the answer that neither this index nor its upstream has a project of that name."""
    upstream = resources().settings.upstream_url
    return problem(404, "No such project", f"neither this index nor its upstream {upstream} has a project {name}")


def told(project: str, account: FileAccount, free: str | None) -> str:
    """Return all that a developer should know about a refusal, as text for a terminal."""
    when = f" until {format_time(account.release_at)}" if account.release_at else ""
    lines = [f"{account.filename} is {account.state}{when}: {account.reason}."]
    if free:
        lines.append(f"The newest available older version is {free}.")
    if account.state is not State.REMOVED:
        lines.append(f"If you need it, request it: {request_command(project, account.version)} --reason WHY.")
    if account.state is State.HELD:
        approve = shell_line("koschey", "approve", f"{project}=={account.version}")
        lines.append(f"A reviewer can release it with: {approve} --reason WHY.")
    return " ".join(lines)
