"""Documents that have a single form, as rendered bytes."""

import hashlib
import math
import time
from dataclasses import dataclass, field

from koschey.model import Serial
from koschey.serving.encoded import Encoded


@dataclass(slots=True)
class Document:
    """A rendered body, with the serial of the journal at which it was made."""

    serial: Serial
    content: Encoded
    etag: str
    expires_at: float = math.inf
    """The time, by `time.monotonic`, until which the document may be kept. It is short if some data was unavailable."""
    built_at: float = field(default_factory=time.monotonic)

    @property
    def weight(self) -> int:
        """Estimated bytes of memory, including the compressed bodies."""
        return 2 * len(self.content.plain)


def document_of(serial: Serial, body: bytes, *, lasts: float = math.inf) -> Document:
    """Return the document with this body, to be kept for `lasts` seconds. Its strong ETag is a digest of the body."""
    return Document(serial, Encoded(body), hashlib.sha256(body).hexdigest()[:32], time.monotonic() + lasts)
