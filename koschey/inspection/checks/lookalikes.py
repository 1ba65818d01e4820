"""Finds names that could be mistaken for one another, by a typing error or by their look.

Libraries that measure such distances are compiled, and would be one more thing to trust here. Koschey needs only a
distance of at most two between short names, which takes twenty lines.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

SHORT = 8
"""Number of letters up to which at most one slip counts; otherwise every short name would be near many."""
SHOWN = 5
NUMBER = re.compile(r"\d+")

# Letters that look alike in common typefaces, and spellings that people confuse.
_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "2": "z", "8": "b", "-": None})
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"), ("py", "python"))


def nearest(name: str, others: Iterable[str]) -> tuple[str, ...]:
    """Return the other names that this one could be mistaken for, the nearest first. All names are normalised."""
    found = sorted((distance, other) for other in others if (distance := _distance(name, other)) is not None)
    return tuple(other for _, other in found[:SHOWN])


def _distance(name: str, other: str) -> int | None:
    """Return the distance of two names; None if nobody would mistake one for the other, or if they are the same."""
    if name == other or _numbered(name) == _numbered(other):
        return None
    if skeletons(name) & skeletons(other) or sorted(name.split("-")) == sorted(other.split("-")):
        return 0
    limit = 1 if min(len(name), len(other)) <= SHORT else 2
    if abs(len(name) - len(other)) > limit or _apart(name, other) > 2 * limit:
        return None
    distance = slips(name, other)
    return distance if distance <= limit else None


def _numbered(name: str) -> str:
    """Return a name with 0 for each number: the names of a family differ in numbers, and none is a mistake."""
    return NUMBER.sub("0", name)


def skeletons(name: str) -> frozenset[str]:
    """Return how a name looks: letters that look alike are the same, and separators are removed."""
    return frozenset(_skeletons(name))


def _skeletons(name: str) -> Iterator[str]:
    plain = name.translate(_ALIKE)
    yield plain
    for wide, narrow in _PAIRS:
        yield plain.replace(wide.translate(_ALIKE), narrow.translate(_ALIKE))


def _apart(name: str, other: str) -> int:
    """Return the number of letters that only one of the names has: a cheap bound."""
    here, there = Counter(name), Counter(other)
    return (here - there).total() + (there - here).total()


def slips(name: str, other: str) -> int:
    """Return the minimum number of letters to omit, insert, replace or swap to turn one name into the other."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(name, 1):
        last, before, row = before, row, [at]
        for to, wanted in enumerate(other, 1):
            cost = min(before[to] + 1, row[to - 1] + 1, before[to - 1] + (letter != wanted))
            if at > 1 and to > 1 and letter == other[to - 2] and name[at - 2] == wanted:
                cost = min(cost, last[to - 2] + 1)
            row.append(cost)
    return row[-1]
