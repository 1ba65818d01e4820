"""The Simple API in HTML (PEP 503, 592, 658, 714, 792), frozen at version 1.4 by PEP 833."""

import re
from collections.abc import Iterable
from html import escape
from urllib.parse import unquote, urlsplit

from packaging.utils import NormalizedName

from koschey.errors import UpstreamMalformed
from koschey.model import File, LeftOutCause, LeftOutFile, ProjectStatus, Serial, Sha256, UpstreamFile, UpstreamPage
from koschey.standards.charsets import decode_html
from koschey.standards.html_links import Link, LinksPage, read_page
from koschey.standards.project_page import API_VERSION, ProjectPage, yank_reason
from koschey.standards.upstream_page import clean_digest, clean_file, clean_text, left_out, page_of
from koschey.texts import on_one_line

FILE_ATTRIBUTES = frozenset(
    {"data-requires-python", "data-yanked", "data-core-metadata", "data-dist-info-metadata", "data-gpg-sig"}
)
"""Attributes that an index sets only on links to files (PEP 503, 592, 658)."""
DIGESTS = frozenset({"sha256", "md5", "sha1", "sha224", "sha384", "sha512"})
DISTRIBUTION = re.compile(r"\.(whl|egg|zip|tar|tar\.\w+|tgz|tbz|exe|msi|rpm|deb|dmg)\Z", re.IGNORECASE)
"""Suffixes of the files that indexes list, or listed in their early years; other links on a page are not files."""


def render_project(page: ProjectPage) -> bytes:
    """Render a project's page: the same files, digests and yanks as the JSON form."""
    head = [f'<meta name="pypi:project-status" content="{page.status}">']
    if page.status_reason:
        reason = escape(on_one_line(page.status_reason))
        head.append(f'<meta name="pypi:project-status-reason" content="{reason}">')
    return _page(f"Links for {page.name}", head, [_anchor(file, page) for file in page.listed], page.serial)


def render_project_list(projects: Iterable[tuple[NormalizedName, Serial]], serial: Serial) -> bytes:
    """Render the project list; references are relative, one segment with a slash."""
    return _page("Simple index", [], [f'<a href="{name}/">{name}</a><br>' for name, _ in projects], serial)


def _page(title: str, head: list[str], anchors: list[str], serial: Serial) -> bytes:
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta name="pypi:repository-version" content="{API_VERSION}">',
        *head,
        f"<title>{title}</title>",
        "</head>",
        "<body>",
        f"<h1>{title}</h1>",
        *anchors,
        "</body>",
        "</html>",
        f"<!--SERIAL {serial}-->",
    ]
    return "\n".join(lines).encode()


def _anchor(file: File, page: ProjectPage) -> str:
    attributes = [f'href="{page.link_to(file)}#sha256={file.sha256}"']
    if file.requires_python:
        attributes.append(f'data-requires-python="{escape(file.requires_python)}"')
    if (yanked := yank_reason(file)) is not None:
        attributes.append(f'data-yanked="{escape(yanked)}"')
    if file.core_metadata:
        # PEP 714: both names, with the same value.
        attributes.append(f'data-core-metadata="sha256={file.core_metadata}"')
        attributes.append(f'data-dist-info-metadata="sha256={file.core_metadata}"')
    if provenance := page.provenance_of(file):
        attributes.append(f'data-provenance="{escape(provenance)}"')
    return f"<a {' '.join(attributes)}>{escape(file.filename)}</a><br>"


def parse_project(
    body: bytes, url: str, project: NormalizedName, etag: str | None, charset: str | None = None
) -> UpstreamPage:
    """Parse an upstream's page. Raises `UpstreamMalformed` if it is not an HTML index page."""
    page = read_page(decode_html(body, charset), url)
    version = page.meta.get("repository-version")
    # PEP 629: "clients MUST fail if the major version is greater than the one they support".
    if version is not None and version.partition(".")[0] != "1":
        raise UpstreamMalformed(f"{url} speaks a version of the Simple API that is not 1.x: {version[:40]!r}")
    links = [(link, name) for link in page.links if (name := _named(link))]
    if version is None and not page.is_listing and not any(_is_file(link, name) for link, name in links):
        # Any web site answers with HTML. An index without PEP 629's version is recognised by its files, or as a list.
        raise UpstreamMalformed(f"{url} answered with HTML that is not an index page; check KOSCHEY_UPSTREAM")
    return page_of(
        (_parse_link(link, name, project) for link, name in links),
        _parse_status(page),
        clean_text(page.meta.get("project-status-reason")),
        etag,
    )


def _parse_status(page: LinksPage) -> ProjectStatus:
    """Return the project's status (PEP 792); as in JSON, an unknown status counts as active."""
    status = page.meta.get("project-status", "")
    return ProjectStatus(status) if status in list(ProjectStatus) else ProjectStatus.ACTIVE


def _named(link: Link) -> str:
    """Return the filename that a link leads to, or an empty text if it leads to a folder.

    PEP 503: "the text of the anchor tag MUST match the final path component of the URL". The query is not part of it.
    """
    path = urlsplit(link.url).path if link.url else link.href.partition("#")[0].partition("?")[0]
    return unquote(path.rpartition("/")[2])


def _is_file(link: Link, name: str) -> bool:
    """Return whether a link leads to a file, by its suffix, attributes or digest."""
    is_stated = link.attributes.keys() & FILE_ATTRIBUTES or any(key in DIGESTS for key, _ in _fragment(link))
    return bool(is_stated) or DISTRIBUTION.search(name) is not None


def _parse_link(link: Link, name: str, project: NormalizedName) -> UpstreamFile | LeftOutFile:
    if not DISTRIBUTION.search(name):
        return left_out(name, LeftOutCause.UNKNOWN_ENDING)
    metadata = link.attributes.get("data-core-metadata") or link.attributes.get("data-dist-info-metadata") or ""
    provenance = link.attributes.get("data-provenance")
    return clean_file(
        project,
        filename=name,
        url=link.url or link.href,
        sha256=_sha256(link),
        size=None,
        upload_time=None,
        requires_python=clean_text(link.attributes.get("data-requires-python")),
        yanked=link.attributes.get("data-yanked"),
        core_metadata=clean_digest(metadata.removeprefix("sha256=")),
        provenance_url=provenance,
    )


def _sha256(link: Link) -> Sha256 | None:
    found = (clean_digest(value) for key, value in _fragment(link) if key == "sha256")
    return next(filter(None, found), None)


def _fragment(link: Link) -> list[tuple[str, str]]:
    """Return the parts of a URL's fragment: `#sha256=…`, and perhaps `egg=…` or other digests."""
    parts = (part.partition("=") for part in link.href.partition("#")[2].split("&"))
    return [(key, value) for key, _, value in parts]
