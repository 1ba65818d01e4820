"""Section 19: validators, encodings, ranges and HEAD."""

from itertools import combinations

from koschey.conformance.checks import check, require, skip
from koschey.conformance.client import HTML, JSON, TEXT_HTML, HttpAnswer
from koschey.conformance.subject import ExaminedPage, FileEntry, Subject

FORMS = (JSON, HTML, TEXT_HTML)
ENCODINGS = ("identity", "gzip", "zstd")
SAME = (
    "Content-Type",
    "Content-Length",
    "Content-Encoding",
    "ETag",
    "Cache-Control",
    "Vary",
    "Accept-Ranges",
    "Last-Modified",
    "X-PyPI-Last-Serial",
)
"""Headers that do not depend on the time of the request."""


def _largest(subject: Subject) -> ExaminedPage:
    """Return the page that is most likely to be compressed."""
    if not subject.pages:
        skip("no project is listed; name one with --project")
    return max(subject.pages, key=lambda page: len(page.answer.body))


def _file(subject: Subject) -> FileEntry:
    file = next((file for file in subject.find() if file.size >= 100), None)
    if file is None:
        skip("no file of a known size is listed")
    return file


@check("T-19.1", "A request with a page's own ETag gets 304 without a body, with the same ETag and Vary.")
async def etags_revalidate(subject: Subject) -> str | None:
    """Some clients discard a 304 that does not repeat the ETag."""
    url = _largest(subject).url
    for form in FORMS:
        first = await subject.client.send(url, Accept=form)
        etag = first.headers.get("ETag", "")
        require(etag, f"{url} as {form} has no ETag")
        again = await subject.client.send(url, Accept=form, If_None_Match=etag)
        require(again.status == 304, f"{url} as {form} answered {again.status} to its own ETag")
        require(not again.body, f"{url} sends a body with 304")
        for header in ("ETag", "Vary"):
            value = again.headers.get(header)
            require(value == first.headers.get(header), f"{url}: {header} of the 304 is {value!r}")
        require("accept" in again.headers.get("Vary", "").lower(), f"{url}: Vary does not name Accept")
    return url


@check("T-19.2", "Each form and each encoding of a page has a strong ETag of its own.")
async def etags_are_strong_and_distinct(subject: Subject) -> str | None:
    """Some clients ignore weak ETags; shared ETags let a cache mix up the forms."""
    url = _largest(subject).url
    found: dict[tuple[str, str], str] = {}
    for form in FORMS:
        for encoding in ENCODINGS:
            answer = await subject.client.send(url, Accept=form, Accept_Encoding=encoding)
            etag = answer.headers.get("ETag", "")
            require(etag.startswith('"'), f"{url} as {form} in {encoding} has the ETag {etag!r}, which is not strong")
            found[answer.media_type, answer.headers.get("Content-Encoding", "identity")] = etag
    for (one, first), (other, second) in combinations(found.items(), 2):
        require(first != second, f"{url} has the ETag {first} as {' in '.join(one)} and as {' in '.join(other)}")
    return ", ".join(sorted({encoding for _, encoding in found}))


@check("T-19.3", "Files have ranges: from the start, from the end, open at the end; one beyond the end gives 416.")
async def ranges_are_served(subject: Subject) -> str | None:
    """Installers read the end of a wheel if there is no metadata beside it."""
    file = _file(subject)
    full = await subject.download(file)
    size = len(full.body)
    for value, start, stop in (("0-9", 0, 10), ("-10", size - 10, size), ("10-", 10, size)):
        answer = await subject.client.fetch(full.url, Range=f"bytes={value}")
        require(answer.status == 206, f"{full.url} with bytes={value} answered {answer.status}, not 206")
        given = answer.headers.get("Content-Range")
        require(given == f"bytes {start}-{stop - 1}/{size}", f"bytes={value} came with Content-Range: {given}")
        require(answer.body == full.body[start:stop], f"{full.url} with bytes={value} gave other bytes")
    answer = await subject.client.fetch(full.url, Range=f"bytes={size + 1}-")
    require(answer.status == 416, f"{full.url} answered {answer.status} to a range beyond its end, not 416")
    return file.filename


@check("T-19.4", "HEAD gives the headers of GET, and no body.")
async def head_is_like_get(subject: Subject) -> str | None:
    """Clients read the size and the support for ranges from HEAD."""
    page = _largest(subject)
    file = next(iter(subject.find()), None)
    urls = [(subject.url, JSON), (page.url, JSON), (page.url, TEXT_HTML)]
    if file is not None:
        urls.append((file.url, "*/*"))
    for url, accept in urls:
        get = await subject.client.send(url, Accept=accept, Accept_Encoding="identity")
        head = await subject.client.send(url, "HEAD", Accept=accept, Accept_Encoding="identity")
        require(head.status == get.status, f"HEAD {url} answered {head.status}, GET {get.status}")
        require(not head.body, f"HEAD {url} has a body")
        for header in SAME:
            _require_same(url, header, get, head)
    return f"{len(urls)} addresses"


def _require_same(url: str, header: str, get: HttpAnswer, head: HttpAnswer) -> None:
    one, other = head.headers.get(header), get.headers.get(header)
    if header == "Content-Length" and other is None:
        return  # GET was sent in chunks: nothing to compare with
    require(one == other, f"{url}: {header} is {one!r} for HEAD and {other!r} for GET")


@check("T-19.6", "An archive is sent unchanged, without a Content-Encoding.")
async def archives_are_not_encoded(subject: Subject) -> str | None:
    """Clients would decode the archive, and its hash would not match."""
    sdist = next(iter(subject.find(lambda file: file.filename.endswith(".tar.gz"))), None)
    if sdist is None:
        skip("no .tar.gz is listed")
    answer = await subject.client.fetch(sdist.url, Accept_Encoding="gzip, deflate, zstd")
    require(answer.status == 200, f"{answer.url} answered {answer.status}")
    encoding = answer.headers.get("Content-Encoding")
    require(encoding is None, f"{answer.url} has Content-Encoding: {encoding}")
    return sdist.filename
