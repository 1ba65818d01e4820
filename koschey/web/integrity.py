"""`/integrity/<project>/<version>/<filename>/provenance`: provenance objects (PEP 740) as the public index serves them.

The bytes are those of the upstream or of the uploader's attestations; a header has this index's verdict on them.
"""

import hashlib
import json

from quart import Blueprint, Response, request

from koschey.errors import UpstreamMissing, UsageError
from koschey.model import AttestationVerdict
from koschey.serving.files import JudgedFile
from koschey.standards.names import parse_name
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
async def provenance(project: str, version: str, filename: str) -> Response:
    """Serve the provenance object of a file, if the file itself would be served."""
    form = _choose_form()
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
    return _respond(found.object, found.judgement.verdict, form)


def _choose_form() -> str | None:
    """Return the content type of the answer, or None if the client accepts neither; the object is the same in both."""
    accepted = request.accept_mimetypes
    return accepted.best_match(FORMS) if request.headers.get("Accept") else INTEGRITY


async def _find(project: str, version: str, filename: str) -> JudgedFile | None:
    try:
        name = parse_name(project)
    except UsageError:
        return None
    return await resources().judged_files.of_release(name, version, filename)


def _respond(provenance_object: bytes, judged: AttestationVerdict, form: str) -> Response:
    mark = "i" if form == INTEGRITY else "j"
    headers = {
        **HEADERS,
        "ETag": f'"{hashlib.sha256(provenance_object).hexdigest()[:32]}{mark}"',
        "X-Koschey-Attestation": judged,
        "Content-Type": form,
    }
    return full_unless_cached(provenance_object, headers)


def _message(status: int, text: str) -> Response:
    headers = {**HEADERS, "Content-Type": "application/json", "Cache-Control": "no-store"}
    return Response(json.dumps({"message": text}), status, headers)
