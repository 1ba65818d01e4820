"""`/held/`: what is kept back, why, until when and how to ask for it; for people, programs and refused clients.

Only names, versions, states, reasons and dates are said here: neither a digest of held bytes nor where they are.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from packaging.utils import NormalizedName, canonicalize_name
from quart import Blueprint, Response, request

from koschey import addresses
from koschey.db.explained import select_files_named
from koschey.model import StandingFile, State
from koschey.quarantine.explanations import Sight, describe, look_at
from koschey.standards.names import is_safe_filename, parse_name, quote_path
from koschey.web import held_html
from koschey.web.answer import NOTHING_RUNS
from koschey.web.context import resources
from koschey.web.errors import problem
from koschey.web.redirects import moved, sent_on
from koschey.web.refusals import refusal, release_word

blueprint = Blueprint("held", __name__)

WORD = re.compile(r"[a-z0-9.-]{1,500}")
BESIDE = (".metadata", ".provenance_url.json", "/provenance")
"""What stands beside a file, and is refused with it."""
PROBLEM, JSON, HTML = "application/problem+json", "application/json", "text/html"
HEADERS = {"Cache-Control": "no-store", "Vary": "Accept", "X-Content-Type-Options": "nosniff"}
SAFE = {"Content-Security-Policy": NOTHING_RUNS}


@blueprint.get("/held/<project>/")
async def project(project: str) -> Response:
    """List all that is kept back of one project."""
    name = parse_name(project)
    if name != project:
        return moved(addresses.held_project(name))
    if await resources().refresher.find(name) is None and not await _is_closed(name):
        return _missing(name)
    sight = await _look(name)
    accounts = [account for account in sight.kept_back() if account.state is not State.REMOVED]
    if _wants_html():
        return _html(held_html.render_project(name, accounts, resources().addresses))
    return _json({"project": name, "held": accounts, "ask": resources().addresses.absolute(addresses.REQUESTS)})


@blueprint.get("/held/<project>/<version>/")
async def release(project: str, version: str) -> Response:
    """Explain one release, served or not."""
    name = parse_name(project)
    if await resources().refresher.find(name) is None and not await _is_closed(name):
        return _missing(name)
    explanation = (await _look(name)).explain(version)
    return _json(describe(explanation))


@blueprint.get("/held/<release>/<state>/<ask>/<path:filename>")
async def file(release: str, state: str, ask: str, filename: str) -> Response:
    """Refuse a file with all that there is to say; what has been let out since is sent on to."""
    del state, ask  # decoration
    beside = next((suffix for suffix in BESIDE if filename.endswith(suffix)), "")
    item = await _find(release, filename.removesuffix(beside))
    if item is None:
        return problem(404, "No such file", "this index holds no file under this path")
    name = item.file.project
    sight = await _look(name)
    account = sight.account(item)
    if account.served:
        return _served(item, beside)
    free = sight.explain(account.version).free
    refused = refusal(name, account, free)
    refused.headers["Vary"] = "Accept"
    if not _wants_html():
        return refused
    message = {"X-Error-Message": refused.headers["X-Error-Message"]}
    body = held_html.render_file(name, account, free, resources().addresses)
    return _html(body, refused.status_code, **message)


async def _find(release: str, filename: str) -> StandingFile | None:
    """Find a file by its name and by what the URL says of its release."""
    if not WORD.fullmatch(release) or not is_safe_filename(filename):
        return None
    names = [canonicalize_name(prefix) for prefix in _prefixes(release)]
    found = await select_files_named(resources().pool, names, filename)
    return next((item for item in found if release_word(item.file.project, item.file.version) == release), None)


def _prefixes(release: str) -> Iterator[str]:
    parts = release.split("-")
    return ("-".join(parts[:count]) for count in range(1, len(parts)))


async def _look(name: NormalizedName) -> Sight:
    return await look_at(resources().pool, name, resources().settings.window)


async def _is_closed(name: NormalizedName) -> bool:
    """Tell whether a name of which nothing is here has a page all the same."""
    return await resources().pages.project(name) is not None


def _served(item: StandingFile, beside: str) -> Response:
    file = item.file
    assert file.path is not None
    if beside == "/provenance":
        return sent_on(addresses.provenance(file.project, file.version, file.filename))
    return sent_on(quote_path(file.path + beside))


def _missing(name: NormalizedName) -> Response:
    upstream = resources().settings.upstream_url
    return problem(404, "No such project", f"neither this index nor its upstream {upstream} has a project {name}")


def _wants_html() -> bool:
    """Tell whether a person looks: a browser prefers HTML, while installers take anything."""
    return request.accept_mimetypes.best_match((PROBLEM, JSON, HTML)) == HTML


def _html(body: str, status: int = 200, **headers: str) -> Response:
    return Response(body, status, HEADERS | headers | {"Content-Type": f"{HTML}; charset=utf-8", **SAFE})


def _json(body: Mapping[str, Any]) -> Response:
    return Response(msgspec.json.encode(body), 200, HEADERS | {"Content-Type": JSON})
