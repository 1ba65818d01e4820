"""What was built of projects' rows, in memory: what is kept, and above all what is not.

The cache is never trusted blindly: what is about a project is forgotten on the notification of a commit, and while the
listening connection is lost nothing is kept and nothing is found. What was built while its project changed is not kept.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from packaging.utils import NormalizedName


class Keepable(Protocol):
    """Something that a cache can hold."""

    @property
    def weight(self) -> int:
        """Bytes of memory."""

    @property
    def expires_at(self) -> float:
        """Until when it may be kept, by `time.monotonic`."""


class ProjectCache[T: Keepable]:
    """Things by project and a key of their own; the least recently used projects leave first."""

    def __init__(self, trusted: Callable[[], bool], *, limit: int) -> None:
        self._trusted = trusted
        self._limit = limit
        self._kept: OrderedDict[NormalizedName, dict[str, T]] = OrderedDict()
        self._weight = 0
        self._changes = 0

    def get(self, name: NormalizedName, key: str = "") -> T | None:
        """Return what is kept, if it is certain that nothing has changed since it was built."""
        found = self._kept.get(name, {}).get(key)
        if found is None or not self._trusted() or time.monotonic() >= found.expires_at:
            return None
        self._kept.move_to_end(name)
        return found

    @property
    def changes(self) -> int:
        """A number that differs once anything was forgotten; taken before rows are read, given back to `put`."""
        return self._changes

    def put(self, name: NormalizedName, built: T, changes: int, key: str = "") -> None:
        """Keep something, unless anything changed since `changes` was taken."""
        if changes != self._changes or not self._trusted():
            return
        of_project = self._kept.setdefault(name, {})
        replaced = of_project.get(key)
        of_project[key] = built
        self._kept.move_to_end(name)
        self._weight += built.weight - (replaced.weight if replaced else 0)
        while self._weight > self._limit:
            self._drop(next(iter(self._kept)))

    def forget(self, name: str) -> None:
        """A project changed."""
        self._changes += 1
        if name.endswith("*") or name.startswith("@"):  # the scope of a rule for many projects
            self.forget_all()
        self._drop(NormalizedName(name))

    def forget_all(self) -> None:
        """Anything may have changed."""
        self._changes += 1
        self._kept.clear()
        self._weight = 0

    def _drop(self, name: NormalizedName) -> None:
        self._weight -= sum(dropped.weight for dropped in self._kept.pop(name, {}).values())
