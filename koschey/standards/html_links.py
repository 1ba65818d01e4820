"""Reads an index's HTML: its links, its `<meta>` elements, and whether the page can be one of an index at all.

It uses Python's own tokenizer, as pip does. A tree of a large page costs ten times as much, and a library that resolves
all URLs at once loses the whole page for one invalid URL.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

LISTING = re.compile(r"\s*(links\b|(simple |package )?index\b|directory listing\b)", re.IGNORECASE)
"""How titles and headings of file lists begin, even of empty ones: `Links for six`, `Index of /`."""
SITE_ELEMENTS = frozenset({"form", "input", "script", "iframe", "frame", "object", "embed"})
"""Elements of pages that want something from a reader: a login, an error page that reloads, a shop."""
PREFIX = "pypi:"


@dataclass(frozen=True, slots=True)
class Link:
    """One `<a href>`."""

    href: str
    """As the page spells it."""
    url: str | None
    """Absolute; None if it is not a valid URL."""
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LinksPage:
    """The links and `<meta>` elements of a page."""

    links: tuple[Link, ...]
    meta: Mapping[str, str]
    """The first value of each `<meta name="pypi:…">`, by the part of its name after the colon."""
    is_listing: bool
    """Whether the page looks like a list of files without any file: no link leads elsewhere."""


def read_page(text: str, url: str) -> LinksPage:
    """Read the page at `url`. Never fails: any text is HTML."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    base = _join(url, reader.base) or url
    links = tuple(Link(href, _join(base, href), attributes) for href, attributes in reader.anchors)
    return LinksPage(links, reader.meta, _is_listing(reader, links, url))


@dataclass
class _Reader(HTMLParser):
    base: str = ""
    meta: dict[str, str] = field(default_factory=dict)
    anchors: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)
    has_text: bool = False
    has_element: bool = False
    wants_something: bool = False
    _inside: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes: dict[str, str] = {}
        for name, value in attrs:
            attributes.setdefault(name, value or "")
        self.has_element, self._inside = True, tag
        self.wants_something |= tag in SITE_ELEMENTS
        if tag == "a" and "href" in attributes:
            self.anchors.append((attributes["href"], attributes))
        elif tag == "base" and not self.base:
            self.base = attributes.get("href", "")
        elif tag == "meta":
            self._note(attributes)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("title", "h1") and data.strip():
            self.headings.append(data)
        elif self._inside != "style" and data.strip():
            self.has_text = True

    def _note(self, attributes: Mapping[str, str]) -> None:
        name = attributes.get("name", "")
        if name.startswith(PREFIX):
            self.meta.setdefault(name.removeprefix(PREFIX), attributes.get("content", ""))
        self.wants_something |= attributes.get("http-equiv", "").lower() == "refresh"


def _is_listing(reader: _Reader, links: tuple[Link, ...], url: str) -> bool:
    if not reader.has_element or reader.wants_something or not all(_stays(link.url, url) for link in links):
        return False
    is_silent = not reader.has_text and not reader.headings
    return is_silent or any(LISTING.match(heading) for heading in reader.headings)


def _stays(target: str | None, url: str) -> bool:
    """Return whether a link leads to the page itself or to a folder above it, as `../` and `?C=N;O=D` do."""
    if target is None:
        return False
    there, here = urlsplit(target), urlsplit(url)
    return (there.scheme, there.netloc) == (here.scheme, here.netloc) and here.path.startswith(there.path)


def _join(base: str, href: str) -> str | None:
    try:
        joined = urljoin(base, href.strip())
        urlsplit(joined)
    except ValueError:
        return None
    return joined
