"""Pages of a project as upstreams write them, in JSON and in HTML, and what is kept of one good file."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any
from urllib.parse import urlsplit

from koschey.model import UpstreamFile, UpstreamPage
from koschey.standards import simple_html, simple_json
from tests.support.examples import DIGEST, METADATA, SPAM

URL = "https://index.example.org/simple/spam/"
FILES = "https://files.example.org"
CYRILLIC = "\u0441\u043f\u0430\u043c"
CLEAN = UpstreamFile(
    filename="spam-1.0-py3-none-any.whl",
    version="1.0",
    url=f"{FILES}/spam-1.0-py3-none-any.whl",
    sha256=DIGEST,
    size=1337,
    upload_time=datetime(2026, 11, 19, 7, 3, 28, 866000, tzinfo=UTC),
    requires_python=">=3.9",
    yanked=None,
    core_metadata=METADATA,
)
"""What is kept of `entry()`."""
BARE = replace(CLEAN, size=None, upload_time=None, requires_python=None, core_metadata=None)
"""What is kept of `anchor()`, which states less."""


def upstream_page(*files: Any, **top: Any) -> bytes:
    """A page in JSON that lists these files; further keys replace or add to those of the page."""
    return json.dumps({"meta": {"api-version": "1.1"}, "name": "spam", "files": list(files)} | top).encode()


def entry(**changes: Any) -> dict[str, Any]:
    """A file as a good upstream lists it, but for what is said; `...` leaves a key out."""
    good = {
        "filename": "spam-1.0-py3-none-any.whl",
        "url": f"{FILES}/spam-1.0-py3-none-any.whl",
        "hashes": {"sha256": DIGEST},
        "size": 1337,
        "requires-python": ">=3.9",
        "upload-time": "2026-11-19T07:03:28.866000Z",
        "yanked": False,
        "core-metadata": {"sha256": METADATA},
    }
    changed = good | {key.replace("_", "-"): value for key, value in changes.items()}
    return {key: value for key, value in changed.items() if value is not ...}


def parse_json(body: bytes) -> UpstreamPage:
    """What is kept of a page in JSON."""
    return simple_json.parse_project(body, URL, SPAM, None)


def html_page(*anchors: str, head: str = "") -> bytes:
    """A page in HTML with these anchors."""
    return f"<!DOCTYPE html><html><head>{head}</head><body>{''.join(anchors)}</body></html>".encode()


def anchor(href: str = f"{FILES}/spam-1.0-py3-none-any.whl#sha256={DIGEST}", **attributes: str) -> str:
    """A link to a file; an underscore in an attribute's name means a hyphen."""
    named = {"href": href} | {key.replace("_", "-"): value for key, value in attributes.items()}
    return f"<a {' '.join(f'{key}="{escape(value)}"' for key, value in named.items())}>text</a>"


def parse_html(body: bytes, url: str = URL) -> UpstreamPage:
    """What is kept of a page in HTML."""
    return simple_html.parse_project(body, url, SPAM, None)


def assert_clean(page: UpstreamPage) -> None:
    """Assert that all that is kept can be stored and shown: printable texts, addresses of the web, numbers in range."""
    for file in page.files:
        assert file.filename.isascii()
        assert urlsplit(file.url).scheme in ("http", "https")
        for text in (file.filename, file.version, file.url, file.requires_python, file.yanked, page.status_reason):
            assert text is None or (text.isprintable() and text.encode().decode() == text)
        assert file.size is None or 0 <= file.size < 2**63
        assert file.upload_time is None or (file.upload_time + timedelta(days=3650)).tzinfo is UTC
