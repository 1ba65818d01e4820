"""The Simple API in HTML (PEP 503, 592, 658, 714, 792), frozen at version 1.4 by PEP 833."""

import re
from collections.abc import Iterable
from html import escape
from urllib.parse import unquote, urldefrag

from packaging.utils import NormalizedName
from pypi_simple import Link, RepositoryPage, UnsupportedRepoVersionError

from koschey.errors import UpstreamMalformed
from koschey.model import File, ProjectStatus, Serial, UpstreamFile, UpstreamPage
from koschey.standards.project_page import API_VERSION, ProjectPage
from koschey.standards.upstream_page import clean_digest, clean_file, clean_text

DISTRIBUTION = re.compile(r"\.(whl|egg|zip|tar|tar\.\w+|tgz|tbz|exe|msi|rpm|deb|dmg)\Z", re.IGNORECASE)
"""Endings of the files that indexes list, or listed in their early years; other links on a page are not files."""


def render_project(page: ProjectPage) -> bytes:
    """Render a project's page: the same files, digests and yanks as the JSON form."""
    head = [f'<meta name="pypi:project-status" content="{page.status}">']
    if page.status_reason:
        head.append(f'<meta name="pypi:project-status-reason" content="{escape(page.status_reason)}">')
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
    if file.yanked is not None:
        attributes.append(f'data-yanked="{escape(file.yanked)}"')
    if file.core_metadata:
        # PEP 714: both names, with the same value.
        attributes.append(f'data-core-metadata="sha256={file.core_metadata}"')
        attributes.append(f'data-dist-info-metadata="sha256={file.core_metadata}"')
    if provenance := page.provenance_of(file):
        attributes.append(f'data-provenance="{escape(provenance)}"')
    return f"<a {' '.join(attributes)}>{escape(file.filename)}</a><br>"


def parse_project(body: bytes, url: str, project: NormalizedName, etag: str | None) -> UpstreamPage:
    """Parse an upstream's page. Raises `UpstreamMalformed` where it is no HTML index page."""
    try:
        page = RepositoryPage.from_html(body.decode("utf-8", "replace"), base_url=url)
    except (UnsupportedRepoVersionError, ValueError) as error:
        raise UpstreamMalformed(f"{url} speaks a version of the Simple API that is not 1.x: {error}") from None
    links = [link for link in page.links if DISTRIBUTION.search(unquote(urldefrag(link.url).url))]
    if not links and page.repository_version is None:
        # Any web site answers with HTML. An index without the mark of PEP 629 is known by its files alone.
        raise UpstreamMalformed(f"{url} answered with HTML that is no index page; check KOSCHEY_UPSTREAM")
    return UpstreamPage(
        files=tuple(found for link in links if (found := _parse_link(link, project))),
        status=_parse_status(page),
        status_reason=clean_text(page.status_reason),
        etag=etag,
    )


def _parse_status(page: RepositoryPage) -> ProjectStatus:
    """PEP 792; as in JSON, what is not known counts as active."""
    status = page.pypi_meta.get("project-status", [""])[0]
    return ProjectStatus(status) if status in list(ProjectStatus) else ProjectStatus.ACTIVE


def _parse_link(link: Link, project: NormalizedName) -> UpstreamFile | None:
    address, fragment = urldefrag(link.url)
    algorithm, _, digest = fragment.partition("=")
    metadata = link.get_str_attrib("data-core-metadata") or link.get_str_attrib("data-dist-info-metadata") or ""
    return clean_file(
        project,
        # PEP 503: "the text of the anchor tag MUST match the final path component of the URL".
        filename=unquote(address.rpartition("/")[2]),
        url=address,
        sha256=clean_digest(digest) if algorithm == "sha256" else None,
        size=None,
        upload_time=None,
        requires_python=clean_text(link.get_str_attrib("data-requires-python")),
        yanked=link.get_str_attrib("data-yanked"),
        core_metadata=clean_digest(metadata.removeprefix("sha256=")),
        provenance_url=link.get_str_attrib("data-provenance"),
    )
