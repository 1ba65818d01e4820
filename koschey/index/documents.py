"""Documents in one form only, as ready bytes; those of projects are kept in memory as `page_cache` keeps pages."""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from packaging.utils import NormalizedName

from koschey.index.page_cache import Encoded
from koschey.model import Serial

CACHE_BYTES = 64 * 2**20
"""Memory for documents in one process."""


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


class DocumentCache:
    """Documents by project and a key of their own, the least recently used projects leaving first."""

    def __init__(self, trusted: Callable[[], bool]) -> None:
        self._trusted = trusted
        self._documents: OrderedDict[NormalizedName, dict[str, Document]] = OrderedDict()
        self._weight = 0
        self._changes = 0

    def get(self, name: NormalizedName, key: str) -> Document | None:
        """Return the document, if it is certain that nothing has changed since it was built."""
        document = self._documents.get(name, {}).get(key)
        if document is None or not self._trusted() or time.monotonic() > document.expires_at:
            return None
        self._documents.move_to_end(name)
        return document

    @property
    def changes(self) -> int:
        """A number that differs once anything was forgotten; taken before rows are read, given back to `put`."""
        return self._changes

    def put(self, name: NormalizedName, key: str, document: Document, changes: int) -> None:
        """Keep a document, unless something changed since `changes` was taken."""
        if changes != self._changes or not self._trusted():
            return
        documents = self._documents.setdefault(name, {})
        replaced = documents.get(key)
        documents[key] = document
        self._documents.move_to_end(name)
        self._weight += document.weight - (replaced.weight if replaced else 0)
        while self._weight > CACHE_BYTES:
            self._drop(next(iter(self._documents)))

    def forget(self, name: str) -> None:
        """A project changed."""
        self._changes += 1
        if name.endswith("*"):  # the pattern of a reservation
            self.forget_all()
        self._drop(NormalizedName(name))

    def forget_all(self) -> None:
        """Anything may have changed."""
        self._changes += 1
        self._documents.clear()
        self._weight = 0

    def _drop(self, name: NormalizedName) -> None:
        self._weight -= sum(document.weight for document in self._documents.pop(name, {}).values())
