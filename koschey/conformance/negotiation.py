"""Section 4: content negotiation (PEP 691)."""

from koschey.conformance.checks import check, require, skip
from koschey.conformance.client import HTML, JSON, TEXT_HTML
from koschey.conformance.subject import Subject

ACCEPTS = {
    f"{JSON}, {HTML}; q=0.1, {TEXT_HTML}; q=0.01": JSON,  # pip
    f"{JSON}, {HTML};q=0.2, {TEXT_HTML};q=0.01": JSON,  # uv
    f"{JSON}, */*;q=0.1": JSON,  # poetry
    JSON: JSON,  # bandersnatch
    f"{HTML};q=0.2, {JSON}, {TEXT_HTML};q=0.01": JSON,  # devpi
    "*/*": TEXT_HTML,  # hatch, curl
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": TEXT_HTML,  # a browser
    f"{TEXT_HTML};q=0.9, {JSON};q=0.1": TEXT_HTML,
}
"""Accept headers that clients really send, and the type that each must get."""


def _pages(subject: Subject) -> list[str]:
    return [subject.url, *(page.url for page in subject.pages[:1])]


@check("T-4.1", "Every known client's Accept header gets the form that the client reads; one for no form gets 406.")
async def accept_headers_are_understood(subject: Subject) -> str | None:
    """Clients that send `*/*` parse HTML."""
    for url in _pages(subject):
        for accept, wanted in ACCEPTS.items():
            answer = await subject.client.send(url, Accept=accept)
            require(
                (answer.status, answer.media_type) == (200, wanted),
                f"{url} with Accept: {accept} answered {answer.status} {answer.content_type}, not {wanted}",
            )
        answer = await subject.client.send(url)
        require(answer.media_type == TEXT_HTML, f"{url} without Accept answered {answer.content_type}")
        answer = await subject.client.send(url, Accept="application/json")
        require(answer.status == 406, f"{url} with Accept: application/json answered {answer.status}, not 406")
    return f"{len(ACCEPTS) + 2} headers"


@check("T-4.2", "The alias of the latest version gives the type of that version.")
async def latest_is_an_alias(subject: Subject) -> str | None:
    """PEP 691: the aliases are for requests only."""
    for url in _pages(subject):
        for alias, wanted in (
            ("application/vnd.pypi.simple.latest+json", JSON),
            ("application/vnd.pypi.simple.latest+html", HTML),
        ):
            answer = await subject.client.send(url, Accept=alias)
            require(answer.media_type == wanted, f"{url} as {alias} answered {answer.status} {answer.content_type}")
    return None


@check("T-4.3", "`?format=` wins over the Accept header.")
async def format_wins(subject: Subject) -> str | None:
    """PEP 691, "URL Parameter"."""
    for url in _pages(subject):
        answer = await subject.client.send(f"{url}?format={JSON.replace('+', '%2B')}", Accept=TEXT_HTML)
        require(answer.media_type == JSON, f"{url}?format={JSON} answered {answer.status} {answer.content_type}")
    return None


@check("T-4.4", "The type of the JSON form has no parameters.")
async def json_type_is_bare(subject: Subject) -> str | None:
    """Some clients compare the type for equality, and read JSON as HTML if it differs."""
    answers = [answer for page in subject.pages if (answer := page.answer).media_type == JSON]
    if subject.list_answer.media_type == JSON:
        answers.append(subject.list_answer)
    if not answers:
        skip("there is no JSON form")
    for answer in answers:
        require(answer.content_type == JSON, f"{answer.url} has the type {answer.content_type}")
    return None
