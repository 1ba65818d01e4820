"""Section 16: XML-RPC, by which mirrors used to read the changes."""

from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from koschey.conformance.checks import check, fail, require, skip
from koschey.conformance.subject import Subject
from koschey.errors import UpstreamMalformed

ABSENT = (400, 401, 403, 404, 405, 406, 410, 415, 501)
CALL = "<?xml version='1.0'?><methodCall><methodName>{}</methodName><params>{}</params></methodCall>"
PARAMETER = "<param><value><int>{}</int></value></param>"
TRIES = 3
"""Number of tries: an index in use may change between two calls."""


@check("T-16.2", "The index reports no changes since its last serial.")
async def nothing_since_the_last_serial(subject: Subject) -> str | None:
    """Old mirrors begin at this serial."""
    for _ in range(TRIES - 1):
        serial = await _last_serial(subject)
        if not await _changes_since(subject, serial):
            return f"serial {serial}"
    serial = await _last_serial(subject)
    changes = await _changes_since(subject, serial)
    require(not changes, f"changelog_since_serial({serial}) gave {changes} changes")
    return f"serial {serial}"


async def _changes_since(subject: Subject, serial: int) -> int:
    data = (await _call(subject, "changelog_since_serial", serial)).find("./array/data")
    if data is None:
        fail("changelog_since_serial gave no array")
    return len(data)


async def _last_serial(subject: Subject) -> int:
    value = await _call(subject, "changelog_last_serial")
    found = next((number for kind in ("int", "i4", "i8") if (number := value.findtext(f"./{kind}"))), "")
    require(found.strip().isdigit(), f"changelog_last_serial gave {found!r}, which is not a number")
    return int(found)


async def _call(subject: Subject, method: str, *arguments: int) -> Element:
    """Call a method and return its value. Raises `Failed` for a fault, and `Skipped` if there is no XML-RPC."""
    url = f"{subject.root}pypi"
    body = CALL.format(method, "".join(PARAMETER.format(argument) for argument in arguments))
    answer = await subject.client.send(url, "POST", body.encode(), Content_Type="text/xml")
    if answer.status in ABSENT:
        skip(f"POST {url} answered {answer.status}: there is no XML-RPC")
    require(answer.status == 200, f"POST {url} answered {answer.status}")
    try:
        response = fromstring(answer.body)
    except (ParseError, DefusedXmlException) as error:
        raise UpstreamMalformed(f"{url} did not answer {method} with XML: {error}") from None
    value: Element | None = response.find("./params/param/value")
    if value is None:
        fail(f"{method} gave a fault: {' '.join(''.join(response.itertext()).split())[:200]}")
    return value
