"""XML-RPC at `/pypi` and `/RPC2`: for older mirrors and for `pip search`."""

from typing import cast

from quart import Blueprint, Response, request

from koschey.auth.permissions import Action
from koschey.errors import Refused
from koschey.standards.xmlrpc import CallFault, parse_call, render_fault
from koschey.web.access import needs
from koschey.web.context import resources
from koschey.web.documents import answer_document
from koschey.web.errors import problem
from koschey.web.multipart import BODY, RequestBody

blueprint = Blueprint("xmlrpc", __name__)

MAX_BODY = 64 * 2**10
"""Maximum bytes of a call; the longest meaningful call has a few hundred."""
XML = "text/xml; charset=utf-8"
ACCEPTED = ("text/xml", "application/xml")


@blueprint.post("/pypi")
@blueprint.post("/pypi/")
@blueprint.post("/RPC2")
@needs(Action.READ)
async def xmlrpc() -> Response:
    """Answer one call. An error in the call is a fault, which is sent with status 200."""
    if request.mimetype not in ACCEPTED:
        return problem(
            415, "Not XML-RPC", f"send an XML-RPC call as {ACCEPTED[0]}, not {request.mimetype or 'nothing'}"
        )
    try:
        call = parse_call(await _read())
        document = await resources().calls.answer(call)
    except Refused as refusal:
        return problem(refusal.status, "Call refused", str(refusal))
    except CallFault as fault:
        return Response(render_fault(fault), 200, {"Content-Type": XML, "Cache-Control": "no-store"})
    return await answer_document(document, XML, Cache_Control="no-store")


async def _read() -> bytes:
    """Return the body of the request. Raises `Refused` as soon as it is known to be too long."""
    refusal = Refused(f"a call has at most {MAX_BODY // 2**10} KiB", status=413)
    if (request.content_length or 0) > MAX_BODY:
        raise refusal
    body = bytearray()
    async for chunk in cast(dict[str, RequestBody], request.scope)[BODY].chunks():
        body += chunk
        if len(body) > MAX_BODY:
            raise refusal
    return bytes(body)
