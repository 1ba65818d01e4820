"""Reads an index's HTML: the anchors, the metas, and the faults of the tags."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})
MAY_STAY_OPEN = frozenset({"html", "head", "body", "p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody"})
"""Elements whose end tags are optional in HTML5."""


@dataclass(slots=True)
class Anchor:
    """One link."""

    attributes: dict[str, str]
    text: str = ""


@dataclass(slots=True)
class ExaminedHtml:
    """A page of the Simple API in HTML."""

    anchors: list[Anchor] = field(default_factory=list)
    metas: dict[str, str] = field(default_factory=dict)
    base: str | None = None
    faults: list[str] = field(default_factory=list)
    """What is not valid HTML5."""


def read_html(body: bytes) -> ExaminedHtml:
    """Read a page, even a broken one."""
    reader = _Reader()
    reader.feed(body.decode("utf-8", "replace"))
    reader.close()
    reader.finish()
    return reader.page


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = ExaminedHtml()
        self._open: list[str] = []
        self._declared = False

    def handle_decl(self, decl: str) -> None:
        self._declared = self._declared or decl.lower() == "doctype html"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if len(attributes) != len(attrs):
            self.page.faults.append(f"<{tag}> has an attribute twice")
        if tag == "a":
            if "a" in self._open:
                self.page.faults.append("an <a> lies within an <a>")
            self.page.anchors.append(Anchor(attributes))
        if tag == "meta" and "name" in attributes:
            self.page.metas[attributes["name"]] = attributes.get("content", "")
        if tag == "base" and self.page.base is None:
            self.page.base = attributes.get("href")
        if tag not in VOID:
            self._open.append(tag)

    def handle_data(self, data: str) -> None:
        if "a" in self._open:
            self.page.anchors[-1].text += data

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open[-1] != tag and self._open[-1] in MAY_STAY_OPEN:
            self._open.pop()
        if self._open and self._open[-1] == tag:
            self._open.pop()
        else:
            self.page.faults.append(f"</{tag}> has no start tag")

    def finish(self) -> None:
        if not self._declared:
            self.page.faults.append("there is no <!DOCTYPE html>")
        self.page.faults += [f"<{tag}> is never closed" for tag in self._open if tag not in MAY_STAY_OPEN]
