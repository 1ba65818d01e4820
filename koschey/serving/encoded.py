"""A page as rendered bytes in each form (PEP 691). Each form is compressed once for each content coding."""

import gzip
import hashlib
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from koschey.model import Serial
from koschey.standards.negotiation import Coding, Form

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SMALL = 64 * 2**10
"""Maximum number of bytes that are compressed without a thread, because it does not delay other requests."""

COMPRESSORS: dict[Coding, Callable[[bytes], bytes]] = {
    Coding.GZIP: lambda body: gzip.compress(body, compresslevel=6, mtime=0),
    Coding.ZSTD: lambda body: zstd.compress(body, level=6),
}


class Encoded:
    """A body in every coding. Each is made once, at the first request, with the same bytes in every process."""

    def __init__(self, plain: bytes | Callable[[], bytes], *, expected: int = 0) -> None:
        """Take a body, or what renders it at the first request; `expected` is then about how many bytes it has."""
        self._made: dict[Coding, bytes] = {}
        self._render = plain if callable(plain) else None
        self.size = expected
        """Bytes of the body, or about as many. It never changes."""
        if not callable(plain):
            self._made[Coding.IDENTITY], self.size = plain, len(plain)

    def get(self, coding: Coding) -> bytes:
        """Return the body in a coding."""
        if coding is Coding.IDENTITY:
            return self.plain
        if coding not in self._made:
            self._made[coding] = COMPRESSORS[coding](self.plain)
        return self._made[coding]

    def is_at_hand(self, coding: Coding) -> bool:
        """Return whether `get` is quick; otherwise it belongs in a thread."""
        return coding in self._made or self.size <= SMALL

    @property
    def made(self) -> tuple[Coding, ...]:
        """The codings that clients have requested."""
        return tuple(self._made)

    @property
    def plain(self) -> bytes:
        """The body as it was rendered."""
        render = self._render
        if render is not None and Coding.IDENTITY not in self._made:
            # Two threads may do this at once: both make the same bytes.
            self._made[Coding.IDENTITY], self._render = render(), None
        return self._made[Coding.IDENTITY]

    @cached_property
    def digest(self) -> str:
        """The beginning of the body's SHA-256 in hex, for ETags."""
        return hashlib.sha256(self.plain).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Variant:
    """One form of a page. Each coding has a strong ETag of its own: some clients ignore weak ones."""

    content: Encoded
    given: str = ""
    mark: str = ""
    """Distinguishes the ETags of forms with the same body."""

    @property
    def etag(self) -> str:
        """The ETag that was given, or one that the body determines."""
        return self.given or self.content.digest + self.mark


type RawAnswer = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, encoded headers, and body."""


@dataclass(slots=True)
class EncodedPage:
    """A page in all its forms."""

    serial: Serial
    forms: dict[Form, Variant]
    built_at: float = field(default_factory=time.monotonic)
    expires_at: float = math.inf
    headers: dict[str, str] = field(default_factory=dict)
    """Additional response headers, the same for each form."""
    answers: dict[tuple[Form, Coding], RawAnswer] = field(default_factory=dict)
    """Whole answers as they were sent before; they share their bodies with `forms`."""

    @property
    def weight(self) -> int:
        """Estimated bytes of memory, including the compressed bodies."""
        return 2 * sum(content.size for content in {variant.content for variant in self.forms.values()})


def page_of(serial: Serial, json: bytes, html: bytes | Callable[[], bytes]) -> EncodedPage:
    """Return the page with these two renderings. The second one may be made later: most clients request the first."""
    as_json, as_html = Encoded(json), Encoded(html, expected=len(json))
    return EncodedPage(
        serial,
        {
            Form.JSON: Variant(as_json, mark="j"),
            Form.HTML: Variant(as_html, mark="h"),
            Form.TEXT_HTML: Variant(as_html, mark="t"),
        },
    )
