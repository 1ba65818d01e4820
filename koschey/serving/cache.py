"""A cache, in memory, of pages and documents that were built from projects' rows.

The notification of a change removes everything about its project. While the listening connection is lost, the cache
stores nothing and returns nothing. It does not store what was built while its project changed.

Changes are numbered. The cache remembers the number of each project's last change, and forgets the oldest of them: what
is built for such a project while that happens is not stored either.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from packaging.utils import NormalizedName


class Cacheable(Protocol):
    """A value that the cache can hold."""

    @property
    def weight(self) -> int:
        """Estimated bytes of memory."""

    @property
    def expires_at(self) -> float:
        """The time, by `time.monotonic`, until which the value may be kept."""


REMEMBERED = 10_000
"""Maximum number of projects whose last change is remembered."""


class LastChanges:
    """The number of each project's last change. The oldest are forgotten: then every project may have changed."""

    def __init__(self) -> None:
        self._numbers: OrderedDict[str, int] = OrderedDict()
        self._all = 0

    def of(self, name: str) -> int:
        """Return the number of the last change that may have been one of this project."""
        return max(self._numbers.get(name, 0), self._all)

    def note(self, name: str, number: int) -> None:
        """Note a change of a project."""
        self._numbers[name] = number
        self._numbers.move_to_end(name)
        if len(self._numbers) > REMEMBERED:
            _, self._all = self._numbers.popitem(last=False)

    def note_all(self, number: int) -> None:
        """Note that every project may have changed."""
        self._numbers.clear()
        self._all = number


class ProjectCache[T: Cacheable]:
    """Values by project and key, up to `limit` bytes. The least recently used projects are dropped first."""

    def __init__(self, trusted: Callable[[], bool], *, limit: int) -> None:
        self._trusted = trusted
        self._limit = limit
        self._values: OrderedDict[NormalizedName, dict[str, T]] = OrderedDict()
        self._weight = 0
        self._changes = 0
        self._changed = LastChanges()

    def get(self, name: NormalizedName, key: str = "") -> T | None:
        """Return the value, or None unless it is certain that nothing has changed since it was built."""
        found = self._values.get(name, {}).get(key)
        if found is None or not self._trusted() or time.monotonic() >= found.expires_at:
            return None
        self._values.move_to_end(name)
        return found

    @property
    def changes(self) -> int:
        """The number of the last change. Callers read it before they read rows, and pass it to `put`."""
        return self._changes

    def changed(self, name: NormalizedName) -> int:
        """Return the number of the last change that may have been one of this project."""
        return self._changed.of(name)

    def put(self, name: NormalizedName, built: T, changes: int, key: str = "") -> None:
        """Store a value, unless its project has changed since the caller read `changes`."""
        if self.changed(name) > changes or not self._trusted():
            return
        of_project = self._values.setdefault(name, {})
        replaced = of_project.get(key)
        of_project[key] = built
        self._values.move_to_end(name)
        self._weight += built.weight - (replaced.weight if replaced else 0)
        while self._weight > self._limit:
            self._drop(next(iter(self._values)))

    def forget(self, name: str) -> None:
        """Remove the values of a project, because it changed; `name` may be the scope of a rule for many projects."""
        if name.endswith("*") or name.startswith("@"):  # a scope
            self.forget_all()
        else:
            self.distrust(NormalizedName(name))

    def peek(self, name: NormalizedName, key: str = "") -> T | None:
        """Return the value even if it is not certain that nothing has changed; it must not be served."""
        return self._values.get(name, {}).get(key)

    def distrust(self, name: NormalizedName) -> None:
        """Remove the values of a project, because its rows say otherwise."""
        self._changes += 1
        self._changed.note(name, self._changes)
        self._drop(name)

    def forget_all(self) -> None:
        """Remove all values, because any project may have changed."""
        self._changes += 1
        self._changed.note_all(self._changes)
        self._values.clear()
        self._weight = 0

    def _drop(self, name: NormalizedName) -> None:
        self._weight -= sum(dropped.weight for dropped in self._values.pop(name, {}).values())
