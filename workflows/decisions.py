"""Decisions that were signalled to a quarantine: read, kept in their order, and handed on in portions that fit."""

import json
import math
from collections import deque
from collections.abc import Sequence
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.decisions import SignalledDecision
    from workflows.options import CARRIED

CHOICES = {"approve": "approve", "reject": "block", "extend": "extend"}
"""What may be asked for, and what `publish.decide` calls it."""
MOST_DAYS = 3650
PORTION = 100
"""Decisions that one activity carries out at the most."""
ANSWERS = 20
"""Answers that are kept."""
LONGEST_ANSWER = 300


class _NotADecision(ValueError):
    """What somebody sent is none; says what to send."""

    def __init__(self, choice: str, more: str) -> None:
        super().__init__(f'{choice} refused: send {{"reviewer": "<account>", "reason": "<why>"{more}}}')


def read_decision(project: str, version: str, choice: str, given: Sequence[Any]) -> SignalledDecision:
    """Make a decision of what somebody sent. Raises `ValueError` that says what to send."""
    fields = given[0] if len(given) == 1 and isinstance(given[0], dict) else {}
    reviewer, reason, days = fields.get("reviewer"), fields.get("reason"), fields.get("days")
    if not isinstance(reviewer, str) or not isinstance(reason, str):
        raise _NotADecision(choice, "")
    if choice != "extend":
        days = None
    elif not _is_length(days):
        raise _NotADecision(choice, f', "days": <more than 0, {MOST_DAYS} at the most>')
    return SignalledDecision(project, version, CHOICES[choice], reviewer[:100], reason[:2000], days)


def _is_length(days: object) -> bool:
    if isinstance(days, bool) or not isinstance(days, int | float):
        return False
    return math.isfinite(days) and 0 < days <= MOST_DAYS


class DecisionQueue:
    """What was signalled and is not carried out yet, and what became of what was."""

    def __init__(self, pending: Sequence[SignalledDecision], answers: Sequence[str]) -> None:
        self.pending: deque[SignalledDecision] = deque()
        self.answers = list(answers)
        self.under_way: list[SignalledDecision] = []
        self._size = 0
        for decision in pending:
            self.add(decision)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, and nothing is being carried out."""
        return not self.pending and not self.under_way

    @property
    def fits(self) -> bool:
        """Whether what waits is small enough to be handed to another run, and nothing is being carried out."""
        return not self.under_way and self._size <= CARRIED

    def add(self, decision: SignalledDecision) -> None:
        """Keep a decision until its turn."""
        self.pending.append(decision)
        self._size += _size(decision)

    def pop(self) -> SignalledDecision:
        """Take the next one."""
        decision = self.pending.popleft()
        self._size -= _size(decision)
        return decision

    def note(self, answer: str) -> None:
        """Keep an answer; only so many are."""
        self.answers.append(answer[:LONGEST_ANSWER])
        del self.answers[:-ANSWERS]

    def take(self) -> list[SignalledDecision]:
        """Begin with the next portion, from which repetitions of one decision are left out."""
        size = 0
        while self.pending and len(self.under_way) < PORTION:
            size += _size(self.pending[0])
            if self.under_way and size > CARRIED:
                break
            decision = self.pop()
            # Only one right after the other: between two equal ones another decision may lie.
            if not self.under_way or decision != self.under_way[-1]:
                self.under_way.append(decision)
        return self.under_way

    def finish(self, answers: Sequence[str]) -> None:
        """Note what became of the portion that was begun."""
        for decision, answer in zip(self.under_way, answers, strict=False):
            self.note(f"{decision.choice} by {decision.reviewer}: {answer}")
        self.under_way = []

    def give_back(self) -> None:
        """Put the portion that was begun back: it could not be carried out now."""
        self.pending.extendleft(reversed(self.under_way))
        self._size += sum(map(_size, self.under_way))
        self.under_way = []


def _size(decision: SignalledDecision) -> int:
    return len(json.dumps([decision.reviewer, decision.reason])) + 200
