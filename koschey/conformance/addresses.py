"""Section 2: redirects of page URLs, and the form of file URLs."""

from urllib.parse import parse_qs, unquote, urljoin, urlsplit

from koschey.conformance.checks import check, require, require_none, skip
from koschey.conformance.client import JSON, HttpAnswer
from koschey.conformance.subject import Subject

REDIRECTS = (301, 302, 303, 307, 308)
TEMPORARY = (302, 303, 307)
PERMANENT = (301, 308)
NOBODY = "koschey-conformance-no-such-project"
"""A name that no index should have."""


@check("T-2.1", "A page's URL without its slash, or in another spelling, redirects permanently and keeps the query.")
async def redirects_to_the_proper_address(subject: Subject) -> str | None:
    """PEP 503: "repositories SHOULD redirect"."""
    page = next(iter(subject.pages), None)
    if page is None:
        skip("no project is listed; name one with --project")
    query = f"?format={JSON.replace('+', '%2B')}"
    spelled = page.name.replace("-", "_").title()
    wrong = [subject.page_url(page.name).rstrip("/")]
    if spelled != page.name:
        wrong.append(subject.page_url(spelled))
    for url in wrong:
        answer = await subject.client.send(url + query, Accept=JSON)
        require(answer.status in PERMANENT, f"{url} answered {answer.status}, not 301")
        target = urlsplit(urljoin(url, answer.headers.get("Location", "")))
        require(target.path == urlsplit(page.url).path, f"{url} redirects to {target.path}")
        require(parse_qs(target.query) == parse_qs(query[1:]), f"{url} redirects without its query: {target.query!r}")
    return f"{len(wrong)} addresses"


def _urls(subject: Subject) -> list[tuple[str, str]]:
    """Return filename and URL of every file in both forms."""
    found = [(file.filename, str(file.keys.get("url"))) for file in subject.files]
    found += [
        (anchor.text, anchor.attributes.get("href", "")) for page in subject.pages for anchor in page.html.anchors
    ]
    if not found:
        skip("no file is listed")
    return found


@check("T-2.2", "The last segment of every file's URL is its filename, percent-encoded.")
async def urls_end_with_the_filename(subject: Subject) -> str | None:
    """Some installers parse the URL and ignore the filename."""
    urls = _urls(subject)
    wrong = [f"{url} of {name}" for name, url in urls if unquote(urlsplit(url).path).rpartition("/")[2] != name]
    require_none(wrong, "a URL that does not end with its filename")
    return f"{len(urls)} URLs"


@check("T-2.3", "No file's URL has a query.")
async def urls_have_no_query(subject: Subject) -> str | None:
    """Clients append `.metadata` to the URL, and a query would swallow it."""
    urls = _urls(subject)
    require_none([url for _, url in urls if "?" in url], "a URL with a query")
    return f"{len(urls)} URLs"


@check("T-2.4", "A redirect that may change later has the status 302 or 307, never that of a permanent redirect.")
async def fallbacks_are_temporary(subject: Subject) -> str | None:
    """Some installers keep a permanent redirect permanently, whatever its maximum age."""
    answers = [await subject.client.send(subject.page_url(NOBODY), Accept=JSON)]
    answers += [await subject.client.send(file.url, "HEAD") for file in subject.find()[:1]]
    for answer in answers:
        _require_temporary(answer)
    return ", ".join(f"{urlsplit(answer.url).path.rpartition('/')[2] or NOBODY}: {answer.status}" for answer in answers)


def _require_temporary(answer: HttpAnswer) -> None:
    location = answer.headers.get("Location", "")
    if answer.status in REDIRECTS and urlsplit(urljoin(answer.url, location)).path != urlsplit(answer.url).path + "/":
        require(answer.status in TEMPORARY, f"{answer.url} answered {answer.status} to {location}")
