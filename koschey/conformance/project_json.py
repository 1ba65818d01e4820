"""Section 15: the JSON API of the public index, which mirrors and poetry read."""

from typing import Any
from urllib.parse import quote

from koschey.conformance.checks import check, require, require_none, skip
from koschey.conformance.client import HttpAnswer
from koschey.conformance.subject import Subject

TYPES: dict[str, tuple[type, ...]] = {
    "filename": (str,),
    "url": (str,),
    "size": (int,),
    "upload_time_iso_8601": (str,),
    "requires_python": (str, type(None)),
    "yanked": (bool,),
    "yanked_reason": (str, type(None)),
    "core-metadata": (bool, dict),
}
"""The fields that a mirror reads of each file, and their types."""


async def _answers(subject: Subject) -> list[tuple[HttpAnswer, Any]]:
    found = []
    for page in subject.pages:
        if page.files:
            answer = await subject.client.fetch(
                f"{subject.root}pypi/{quote(page.name)}/json", Accept="application/json"
            )
            if answer.status == 200:
                found.append((answer, answer.json))
    if not found:
        skip(f"{subject.root}pypi/<name>/json does not exist for any of the projects")
    return found


@check("T-15.1", "The JSON API has every field that a mirror reads, of the right type.")
async def mirrors_find_their_fields(subject: Subject) -> str | None:
    """These are the fields that bandersnatch reads."""
    answers = await _answers(subject)
    for answer, body in answers:
        require(isinstance(body, dict), f"{answer.url} is not an object")
        require(isinstance(body.get("info"), dict), f"{answer.url}: info is not an object")
        require(isinstance(body["info"].get("name"), str), f"{answer.url}: info.name is {body['info'].get('name')!r}")
        require(type(body.get("last_serial")) is int, f"{answer.url}: last_serial is {body.get('last_serial')!r}")
        require(isinstance(body.get("releases"), dict), f"{answer.url}: releases is not an object")
        files = [file for release in body["releases"].values() for file in release]
        require(files, f"{answer.url}: releases has no file")
        require_none([fault for file in files for fault in _faults(file)], answer.url)
    return f"{len(answers)} projects"


def _faults(file: dict[str, Any]) -> list[str]:
    faults = [
        f"{file.get('filename')}: {key} is {file.get(key)!r}"
        for key, types in TYPES.items()
        if key not in file or not isinstance(file[key], types)
    ]
    digests = file.get("digests")
    if not isinstance(digests, dict) or not isinstance(digests.get("sha256"), str):
        faults.append(f"{file.get('filename')}: digests is {digests!r}")
    return faults


@check("T-15.3", "The header and the body of the JSON API have the same serial.")
async def serials_agree(subject: Subject) -> str | None:
    """A mirror waits until the header is no older than the project list."""
    answers = await _answers(subject)
    for answer, body in answers:
        header = answer.headers.get("X-PyPI-Last-Serial")
        serial = body.get("last_serial") if isinstance(body, dict) else None
        require(header == str(serial), f"{answer.url}: the header has the serial {header}, the body {serial}")
    return f"{len(answers)} projects"
