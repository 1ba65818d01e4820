"""Which names could be taken for one another: by a slip of the finger, or by the eye.

Libraries that measure such distances are compiled, and would be one more thing to trust here; what is needed is a bound
of one or two on names of some letters, which is twenty lines.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

SHORT = 8
"""Letters up to which one slip is the most that counts, or every short name would be near many."""
SHOWN = 5
NUMBER = re.compile(r"\d+")

# What looks alike in common typefaces, and how people write one word or the other.
_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "2": "z", "8": "b", "-": None})
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"), ("py", "python"))


def nearest(name: str, others: Iterable[str]) -> tuple[str, ...]:
    """Return the names among the others that this one could be taken for, the nearest first; they are normalised."""
    found = sorted((distance, other) for other in others if (distance := _distance(name, other)) is not None)
    return tuple(other for _, other in found[:SHOWN])


def _distance(name: str, other: str) -> int | None:
    """Return how far a name is from another; None where nobody would take one for the other, or they are the same."""
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
    """Return a name without its numbers: those of a family differ in them, and are all meant."""
    return NUMBER.sub("0", name)


def skeletons(name: str) -> frozenset[str]:
    """Return what the eye makes of a name: letters that look alike are alike, and separators are not there."""
    return frozenset(_skeletons(name))


def _skeletons(name: str) -> Iterator[str]:
    plain = name.translate(_ALIKE)
    yield plain
    for wide, narrow in _PAIRS:
        yield plain.replace(wide.translate(_ALIKE), narrow.translate(_ALIKE))


def _apart(name: str, other: str) -> int:
    """Return how many letters only one of them has: a bound that costs little."""
    here, there = Counter(name), Counter(other)
    return (here - there).total() + (there - here).total()


def slips(name: str, other: str) -> int:
    """Return the least number of letters left out, put in, replaced or swapped that lead from one to the other."""
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
