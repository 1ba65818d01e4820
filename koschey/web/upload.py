"""Uploads by twine and `uv publish`: `POST /legacy/`. Never redirects, because clients abort or drop the body then."""

import asyncio
import json
from http import HTTPStatus
from typing import cast

from quart import Blueprint, Quart, Response, current_app, request
from quart.blueprints import BlueprintSetupState

from koschey.accounts import Account
from koschey.auth.authorization import authorize_somewhere
from koschey.auth.identity import parse_authorization
from koschey.auth.permissions import Action
from koschey.errors import NotAllowed, Refused, TooManyGuesses, UsageError
from koschey.hosting.accept import Accepted, UploadIntake, accept
from koschey.hosting.upload import Upload
from koschey.inspection.sandbox.inspector import Inspector
from koschey.resources import MIB
from koschey.standards.upload_form import parse_upload_form
from koschey.storage.spooled import PARTS_IN_MEMORY, UploadStore
from koschey.web.access import needs
from koschey.web.context import resources
from koschey.web.errors import problem
from koschey.web.form_limits import FormBudget, FormLimits
from koschey.web.multipart import BODY, FormReader, RequestBody, UploadConnection
from koschey.web.spool import Spool

blueprint = Blueprint("upload", __name__)

INSPECTOR, BUDGET, TURNS = "koschey_inspector", "koschey_form_budget", "koschey_upload_turns"
NOBODY = "Invalid or non-existent authentication information."
"""The message that the public index sends with 403. Clients do not prompt for a password during an upload."""


@blueprint.record_once
def prepare(state: BlueprintSetupState) -> None:
    """Make the application stream the bodies of uploads, and create what all uploads share to bound their memory."""
    assert isinstance(state.app, Quart)
    state.app.asgi_http_class = UploadConnection
    state.app.extensions[INSPECTOR] = Inspector()
    state.app.extensions[BUDGET] = FormBudget()
    state.app.extensions[TURNS] = asyncio.Semaphore(PARTS_IN_MEMORY)


@blueprint.post("/legacy/")
@blueprint.post("/legacy")
@needs(Action.UPLOAD)
async def legacy() -> Response:
    """Accept an uploaded file, or refuse it with a reason."""
    try:
        account = await _account()
        accepted = await _receive(account)
    except Refused as refused:
        return _refuse(refused.status, str(refused))
    except NotAllowed as error:
        return _refuse(403, str(error))
    except TooManyGuesses as error:
        refusal = _refuse(429, str(error))
        refusal.headers["Retry-After"] = str(error.retry_after)
        return refusal
    except UsageError as error:
        return _refuse(400, str(error))
    return _answer(200, "text/plain; charset=utf-8", "\n".join(accepted.warnings) or "OK")


async def _account() -> Account:
    """Return the account that uploads, before a byte of the body is read.

    Raises `NotAllowed` if there is none, or if it may upload to no project.
    """
    credentials = parse_authorization(request.headers.get("Authorization"))
    account = await resources().logins.prove(credentials, request.remote_addr) if credentials else None
    if account is None:
        raise NotAllowed(NOBODY)
    authorize_somewhere(account, Action.UPLOAD)
    return account


async def _receive(account: Account) -> Accepted:
    settings, body = resources().settings, cast(dict[str, RequestBody], request.scope)[BODY]
    limit, limits = int(settings.max_file_mib * MIB), FormLimits.of(settings)
    if (request.content_length or 0) > limit + 2 * limits.bytes:
        raise Refused(
            f"File too large. Limit of this index is {settings.max_file_mib:g} MiB; an admin can raise "
            "KOSCHEY_MAX_FILE_MIB.",
            status=413,
        )
    spool = Spool(settings.spool, limit)
    reader = FormReader(spool, limits, current_app.extensions[BUDGET])
    try:
        await reader.read(body.chunks(), request.headers.get("Content-Type", ""))
        # Like the public index, Koschey also reads the action from the query.
        fields = [*reader.fields, *((name, value) for name, value in request.args.items() if name == ":action")]
        # In a thread: a form may have ten thousand fields.
        form = await asyncio.to_thread(parse_upload_form, fields, reader.filename, reader.content_type)
        upload = Upload(form, spool.descriptor, spool.size, spool.digests)
        return await accept(_intake(), account, upload)
    finally:
        reader.close()
        spool.close()


def _intake() -> UploadIntake:
    inspector: Inspector = current_app.extensions[INSPECTOR]
    store = UploadStore(resources().bucket, current_app.extensions[TURNS])
    return UploadIntake(resources().pool, store, inspector, resources().trust)


def _refuse(status: int, message: str) -> Response:
    """Return a refusal as the client prints it: JSON for uv, text for all others. ASGI has no reason phrase."""
    title = HTTPStatus(status).phrase
    if "application/json" not in request.headers.get("Accept", ""):
        response = _answer(status, "text/plain; charset=utf-8", message)
    else:
        body = {"message": message, "code": f"{status} {message}", "title": title}
        # With a charset, uv would print the raw JSON.
        response = _answer(status, "application/json", json.dumps(body))
    response.headers["X-Error-Message"] = problem(status, title, message).headers["X-Error-Message"]
    return response


def _answer(status: int, content_type: str, text: str) -> Response:
    headers = {"Content-Type": content_type, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(text, status, headers)
