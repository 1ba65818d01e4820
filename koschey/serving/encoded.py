"""A page as rendered bytes in each form (PEP 691). Each form is compressed once for each content coding."""

import gzip
import hashlib
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

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

    def __init__(self, plain: bytes) -> None:
        self._made = {Coding.IDENTITY: plain}

    def get(self, coding: Coding) -> bytes:
        """Return the body in a coding."""
        if coding not in self._made:
            self._made[coding] = COMPRESSORS[coding](self.plain)
        return self._made[coding]

    def is_at_hand(self, coding: Coding) -> bool:
        """Return whether `get` is quick; otherwise it belongs in a thread."""
        return coding in self._made or len(self.plain) <= SMALL

    @property
    def made(self) -> tuple[Coding, ...]:
        """The codings that clients have requested."""
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
        return 2 * sum(len(content.plain) for content in {variant.content for variant in self.forms.values()})


def page_of(serial: Serial, json: bytes, html: bytes) -> EncodedPage:
    """Return the page with these two renderings."""
    as_json, as_html = Encoded(json), Encoded(html)
    return EncodedPage(
        serial,
        {
            Form.JSON: Variant(as_json, _etag(json, "j")),
            Form.HTML: Variant(as_html, _etag(html, "h")),
            Form.TEXT_HTML: Variant(as_html, _etag(html, "t")),
        },
    )


def _etag(body: bytes, form: str) -> str:
    return hashlib.sha256(body).hexdigest()[:32] + form
