"""Pages in memory: what is kept, and above all what is not.

The cache is never trusted blindly: a page is forgotten on the notification of a commit, and while the listening
connection is lost nothing is kept and nothing is found.
"""

import gzip
import hashlib
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from packaging.utils import NormalizedName

from koschey.model import Serial
from koschey.standards.negotiation import Coding, Form

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CACHE_BYTES = 256 * 2**20
"""Memory for pages in one process."""
SMALL = 64 * 2**10
"""Bytes up to which compressing does not keep other requests waiting."""

COMPRESSORS: dict[Coding, Callable[[bytes], bytes]] = {
    Coding.GZIP: lambda body: gzip.compress(body, compresslevel=6, mtime=0),
    Coding.ZSTD: lambda body: zstd.compress(body, level=6),
}


class Encoded:
    """A body in every coding, each made once, when it is first asked for: the same bytes in every process."""

    def __init__(self, plain: bytes) -> None:
        self._made = {Coding.IDENTITY: plain}

    def get(self, coding: Coding) -> bytes:
        """Return the body in a coding."""
        if coding not in self._made:
            self._made[coding] = COMPRESSORS[coding](self.plain)
        return self._made[coding]

    def is_at_hand(self, coding: Coding) -> bool:
        """Whether `get` is quick; otherwise it belongs in a thread."""
        return coding in self._made or len(self.plain) <= SMALL

    @property
    def made(self) -> tuple[Coding, ...]:
        """The codings that somebody has asked for."""
        return tuple(self._made)

    @property
    def plain(self) -> bytes:
        """The body as it was rendered."""
        return self._made[Coding.IDENTITY]


@dataclass(frozen=True, slots=True)
class Variant:
    """One form of a page. Each coding has a strong ETag of its own: some clients ignore weak ones."""

    content: Encoded
    etag: str


@dataclass(slots=True)
class Page:
    """A page in all its forms."""

    serial: Serial
    forms: dict[Form, Variant]
    built_at: float = field(default_factory=time.monotonic)

    @property
    def weight(self) -> int:
        """Bytes of memory, with room for the compressed forms."""
        return 2 * sum(len(content.plain) for content in {variant.content for variant in self.forms.values()})


def page_of(serial: Serial, json: bytes, html: bytes) -> Page:
    """Return the page that these two renderings are."""
    as_json, as_html = Encoded(json), Encoded(html)
    return Page(
        serial,
        {
            Form.JSON: Variant(as_json, _etag(json, "j")),
            Form.HTML: Variant(as_html, _etag(html, "h")),
            Form.TEXT_HTML: Variant(as_html, _etag(html, "t")),
        },
    )


def _etag(body: bytes, form: str) -> str:
    return hashlib.sha256(body).hexdigest()[:32] + form


class PageCache:
    """Pages by project name, the least recently used ones leaving first."""

    def __init__(self, trusted: Callable[[], bool]) -> None:
        self._trusted = trusted
        self._pages: OrderedDict[NormalizedName, Page] = OrderedDict()
        self._weight = 0
        self._changes = 0

    def get(self, name: NormalizedName) -> Page | None:
        """Return the page, if it is certain that nothing has changed since it was built."""
        page = self._pages.get(name)
        if page is None or not self._trusted():
            return None
        self._pages.move_to_end(name)
        return page

    @property
    def changes(self) -> int:
        """A number that differs once anything was forgotten; taken before rows are read, given back to `put`."""
        return self._changes

    def put(self, name: NormalizedName, page: Page, changes: int) -> None:
        """Keep a page, unless something changed since `changes` was taken."""
        if changes != self._changes or not self._trusted():
            return
        self._drop(name)
        self._pages[name] = page
        self._weight += page.weight
        while self._weight > CACHE_BYTES:
            self._drop(next(iter(self._pages)))

    def forget(self, name: str) -> None:
        """A project changed."""
        self._changes += 1
        if name.endswith("*"):  # the pattern of a reservation
            self.forget_all()
        self._drop(NormalizedName(name))

    def forget_all(self) -> None:
        """Anything may have changed."""
        self._changes += 1
        self._pages.clear()
        self._weight = 0

    def _drop(self, name: NormalizedName) -> None:
        if page := self._pages.pop(name, None):
            self._weight -= page.weight
