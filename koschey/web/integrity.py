"""`/integrity/<project>/<version>/<filename>/provenance`: provenance objects (PEP 740) as the public index serves them.

The bytes are those of the upstream or of the uploader's attestations; a header has this index's verdict on them.
"""

import hashlib
import json

from quart import Blueprint, Response, request
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from koschey.auth.permissions import Action
from koschey.errors import UpstreamMissing, UsageError
from koschey.model import AttestationVerdict, Sha256
from koschey.serving.files import JudgedFile
from koschey.serving.snapshots import Provenance
from koschey.standards.names import parse_name
from koschey.web.access import needs
from koschey.web.conditional import full_unless_cached
from koschey.web.context import resources
from koschey.web.refusals import refuse

blueprint = Blueprint("integrity", __name__)

INTEGRITY = "application/vnd.pypi.integrity.v1+json"
FORMS = (INTEGRITY, "application/json")
HEADERS = {
    "Vary": "Accept",
    # The object may change, and so may the verdict on its file.
    "Cache-Control": "max-age=0, must-revalidate",
    "X-Content-Type-Options": "nosniff",
}


@blueprint.get("/integrity/<project>/<version>/<filename>/provenance")
@needs(Action.READ)
async def provenance(project: str, version: str, filename: str) -> Response:
    """Serve the provenance object of a file, if the file itself would be served."""
    form = choose_form(request.headers.get("Accept", ""))
    if form is None:
        return _message(406, "Request not acceptable")
    judged = await _find(project, version, filename)
    if judged is None:
        return _message(404, f"No provenance available for {filename}")
    if not judged.served:
        return await refuse(judged.item, "/provenance")
    try:
        found = await resources().provenance.read(judged.file)
    except UpstreamMissing:
        found = None
    if found is None:
        return _message(404, f"No provenance available for {filename}")
    digest = Sha256(hashlib.sha256(found.object).hexdigest())
    resources().shelf.keep_small(digest, found.object)
    resources().pages.note_provenance(judged.file, Provenance(digest, found.judgement.verdict))
    return full_unless_cached(found.object, headers_of(digest, found.judgement.verdict, form))


def choose_form(accept: str) -> str | None:
    """Return the content type of the answer, or None if the client accepts neither; the object is the same in both."""
    return parse_accept_header(accept, MIMEAccept).best_match(FORMS) if accept else INTEGRITY


def headers_of(digest: Sha256, judged: AttestationVerdict, form: str) -> dict[str, str]:
    """Return the headers of a provenance object with this digest."""
    mark = "i" if form == INTEGRITY else "j"
    return {**HEADERS, "ETag": f'"{digest[:32]}{mark}"', "X-Koschey-Attestation": judged, "Content-Type": form}


async def _find(project: str, version: str, filename: str) -> JudgedFile | None:
    try:
        name = parse_name(project)
    except UsageError:
        return None
    return await resources().judged_files.of_release(name, version, filename)


def _message(status: int, text: str) -> Response:
    headers = {**HEADERS, "Content-Type": "application/json", "Cache-Control": "no-store"}
    return Response(json.dumps({"message": text}), status, headers)
