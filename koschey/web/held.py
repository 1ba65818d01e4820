"""`/held/`: which files are not served, why, until when, and how to request them; for people, programs and clients.

These pages contain only names, versions, states, reasons and dates: no digest of held bytes, and not where they are.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from quart import Blueprint, Response, request

from koschey import addresses
from koschey.auth.permissions import Action
from koschey.model import File, State
from koschey.policy.availability import describe
from koschey.standards.names import parse_name, quote_path
from koschey.web import held_html
from koschey.web.access import needs
from koschey.web.answer import NOTHING_RUNS
from koschey.web.context import resources
from koschey.web.errors import problem
from koschey.web.redirects import moved, sent_on
from koschey.web.refusals import missing_project, refusal

blueprint = Blueprint("held", __name__)

BESIDE = (".metadata", ".provenance_url.json", "/provenance")
"""Suffixes of a file's metadata, record and provenance, which are refused together with it."""
PROBLEM, JSON, HTML = "application/problem+json", "application/json", "text/html"
HEADERS = {"Cache-Control": "no-store", "Vary": "Accept", "X-Content-Type-Options": "nosniff"}
SAFE = {"Content-Security-Policy": NOTHING_RUNS}


@blueprint.get("/held/<project>/")
@needs(Action.READ)
async def project(project: str) -> Response:
    """List the files of one project that are not served, except removed ones."""
    name = parse_name(project)
    if name != project:
        return moved(addresses.held_project(name))
    snapshot = await resources().explanations.project(name)
    if snapshot is None:
        return missing_project(name)
    accounts = [account for account in snapshot.unserved() if account.state is not State.REMOVED]
    if _wants_html():
        return _html(held_html.render_project(name, accounts, resources().addresses))
    return _json({"project": name, "held": accounts, "ask": resources().addresses.absolute(addresses.REQUESTS)})


@blueprint.get("/held/<project>/<version>/")
@needs(Action.READ)
async def release(project: str, version: str) -> Response:
    """Explain the state of one release, served or not."""
    name = parse_name(project)
    snapshot = await resources().explanations.project(name)
    return missing_project(name) if snapshot is None else _json(describe(snapshot.explain(version)))


@blueprint.get("/held/<release>/<state>/<ask>/<path:filename>")
@needs(Action.READ)
async def file(release: str, state: str, ask: str, filename: str) -> Response:
    """Refuse a file with all details; redirect to the file if it has been released since."""
    del state, ask  # They only inform the reader of the URL.
    beside = next((suffix for suffix in BESIDE if filename.endswith(suffix)), "")
    found = await resources().explanations.refused_file(release, filename.removesuffix(beside))
    if found is None:
        return problem(404, "No such file", "this index has no file under this path")
    name, account, free = found.item.file.project, found.account, found.free
    if account.served:
        return _served(found.item.file, beside)
    refused = refusal(name, account, free)
    refused.headers["Vary"] = "Accept"
    if not _wants_html():
        return refused
    message = {"X-Error-Message": refused.headers["X-Error-Message"]}
    body = held_html.render_file(name, account, free, resources().addresses)
    return _html(body, refused.status_code, **message)


def _served(file: File, beside: str) -> Response:
    assert file.path is not None
    if beside == "/provenance":
        return sent_on(addresses.provenance(file.project, file.version, file.filename))
    return sent_on(quote_path(file.path + beside))


def _wants_html() -> bool:
    """Return whether a person reads the answer: a browser prefers HTML, while installers accept anything."""
    return request.accept_mimetypes.best_match((PROBLEM, JSON, HTML)) == HTML


def _html(body: str, status: int = 200, **headers: str) -> Response:
    return Response(body, status, HEADERS | headers | {"Content-Type": f"{HTML}; charset=utf-8", **SAFE})


def _json(body: Mapping[str, Any]) -> Response:
    return Response(msgspec.json.encode(body), 200, HEADERS | {"Content-Type": JSON})
