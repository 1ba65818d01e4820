"""Documents in one form only, as ready bytes."""

import hashlib
import math
import time
from dataclasses import dataclass, field

from koschey.model import Serial
from koschey.serving.encoded import Encoded


@dataclass(slots=True)
class Document:
    """A body, and the journal's serial that it is as new as."""

    serial: Serial
    content: Encoded
    etag: str
    expires_at: float = math.inf
    """Until when it may be kept: for a while only where something could not be had just now."""
    built_at: float = field(default_factory=time.monotonic)

    @property
    def weight(self) -> int:
        """Bytes of memory, with room for the compressed forms."""
        return 2 * len(self.content.plain)


def document_of(serial: Serial, body: bytes, *, lasts: float = math.inf) -> Document:
    """Return the document with this body, to be kept for so many seconds; its strong ETag is a digest of it."""
    return Document(serial, Encoded(body), hashlib.sha256(body).hexdigest()[:32], time.monotonic() + lasts)
