"""The registry of checks, and the exceptions by which a check fails or is skipped."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

from koschey.conformance.subject import Subject

type Run = Callable[[Subject], Awaitable[str | None]]
"""A check. Returns what it has examined, or None if that is not worth showing."""


class AssertionOutcome(StrEnum):
    """How a check ended."""

    PASS = "pass"
    FAIL = "fail"
    SKIP = "skip"


class Failed(Exception):
    """The index breaks the assertion; the message says where and how."""


class Skipped(Exception):
    """The assertion applies to nothing in the index; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class AssertionCheck:
    """One assertion about an index."""

    id: str
    """`T-4.1`: the first assertion about section 4."""
    says: str
    """The assertion."""
    run: Run

    @property
    def order(self) -> tuple[int, ...]:
        """The id as numbers, for sorting."""
        return tuple(int(part) for part in self.id.removeprefix("T-").split("."))


_checks: dict[str, AssertionCheck] = {}


def check(id_: str, says: str) -> Callable[[Run], Run]:
    """Register a function as the check of an assertion."""

    def register(run: Run) -> Run:
        assert id_ not in _checks, id_
        _checks[id_] = AssertionCheck(id_, says, run)
        return run

    return register


def registered() -> list[AssertionCheck]:
    """Return all checks in the order of their ids."""
    return sorted(_checks.values(), key=lambda check: check.order)


def require(holds: object, message: str) -> None:
    """Raise `Failed` with the message unless the condition holds."""
    if not holds:
        raise Failed(message)


def fail(message: str) -> NoReturn:
    """Raise `Failed` with the message."""
    raise Failed(message)


def skip(why: str) -> NoReturn:
    """Raise `Skipped` with the reason."""
    raise Skipped(why)


def require_none(found: list[str], what: str) -> None:
    """Raise `Failed` with the first three items if any were found."""
    if found:
        more = f", and {len(found) - 3} more" if len(found) > 3 else ""
        raise Failed(f"{what}: {', '.join(found[:3])}{more}")
