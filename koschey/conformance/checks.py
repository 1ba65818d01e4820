"""The registry of checks, and the two ways in which a check ends other than by passing."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

from koschey.conformance.subject import Subject

type Run = Callable[[Subject], Awaitable[str | None]]
"""A check: returns what it looked at, if that is worth a word."""


class Outcome(StrEnum):
    """How a check ended."""

    PASS = "pass"
    FAIL = "fail"
    SKIP = "skip"


class Failed(Exception):
    """The index does not keep the assertion; the message says where and how."""


class Skipped(Exception):
    """The index has nothing to which the assertion applies; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Check:
    """One assertion about an index."""

    id: str
    """`T-4.1`: the first assertion about section 4."""
    says: str
    """The assertion."""
    run: Run

    @property
    def order(self) -> tuple[int, ...]:
        """The id as numbers."""
        return tuple(int(part) for part in self.id.removeprefix("T-").split("."))


_checks: dict[str, Check] = {}


def check(id_: str, says: str) -> Callable[[Run], Run]:
    """Register a function as the check of an assertion."""

    def register(run: Run) -> Run:
        assert id_ not in _checks, id_
        _checks[id_] = Check(id_, says, run)
        return run

    return register


def registered() -> list[Check]:
    """Return all checks in the order of their ids."""
    return sorted(_checks.values(), key=lambda check: check.order)


def require(holds: object, message: str) -> None:
    """Raise `Failed` with the message unless it holds."""
    if not holds:
        raise Failed(message)


def fail(message: str) -> NoReturn:
    """Raise `Failed`."""
    raise Failed(message)


def skip(why: str) -> NoReturn:
    """Raise `Skipped`."""
    raise Skipped(why)


def require_none(found: list[str], what: str) -> None:
    """Raise `Failed` with the first few of those that were found."""
    if found:
        more = f", and {len(found) - 3} more" if len(found) > 3 else ""
        raise Failed(f"{what}: {', '.join(found[:3])}{more}")
