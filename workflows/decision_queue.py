"""Decisions that reviewers signalled to a quarantine: read, queued in their order, and handed on in portions."""

import json
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.decisions import Candidate, Sifted, SignalledDecision
    from koschey.policy.reasons import MAX_REASON
    from koschey.texts import on_one_line
    from workflows.options import CARRIED

CHOICES = {"approve": "approve", "reject": "block", "extend": "extend"}
"""Names of signals, and the names that `koschey.quarantine.decide` has for the choices."""
MOST_DAYS = 3650
LONGEST_CODE = 40
PORTION = 100
"""Maximum number of decisions that one activity carries out."""
MOST_SIFTED = 2_000
"""Maximum number of signals that one activity sifts."""
OVERHEAD = 150
"""Maximum number of bytes around the words of a candidate, and around the code of a decision."""
ANSWERS = 20
"""Maximum number of answers, and of refusals, that are kept."""
LONGEST_ANSWER = 300


class NotADecision(ValueError):
    """Raised for a signal that is no decision; says what to send."""

    def __init__(self, choice: str, more: str) -> None:
        super().__init__(
            f'{choice} refused: send {{"reviewer": "<account>", "reason": "<why>", "code": "<code>"{more}}}'
        )


def read_decision(project: str, version: str, choice: str, given: Sequence[Any]) -> SignalledDecision:
    """Parse the arguments of a signal. Raises `NotADecision` that says what to send."""
    fields = given[0] if len(given) == 1 and isinstance(given[0], dict) else {}
    reviewer, reason, days = fields.get("reviewer"), fields.get("reason"), fields.get("days")
    code = fields.get("code", "")
    if not isinstance(reviewer, str) or not isinstance(reason, str) or not isinstance(code, str):
        raise NotADecision(choice, "")
    if choice != "extend":
        days = None
    elif not _is_length(days):
        raise NotADecision(choice, f', "days": <more than 0, at most {MOST_DAYS}>')
    # One character more than a reason may have: a longer one is refused where it is read, and not shortened.
    bounded = reason.strip()[: MAX_REASON + 1]
    return SignalledDecision(project, version, CHOICES[choice], reviewer[:100], bounded, days, code[:LONGEST_CODE])


def _is_length(days: object) -> bool:
    if isinstance(days, bool) or not isinstance(days, int | float):
        return False
    return math.isfinite(days) and 0 < days <= MOST_DAYS


@dataclass(eq=False)
class QueuedDecision:
    """A decision in the queue or in progress, and its answer."""

    decision: SignalledDecision
    answer: str | None = None
    awaited: bool = False
    """Whether an update waits for the answer, so that this run must answer it."""
    repeated: "list[QueuedDecision]" = field(default_factory=list)
    """Equal decisions that came directly after this one."""

    @property
    def is_awaited(self) -> bool:
        """Whether an update waits for its answer, or for that of a repetition."""
        return any(each.awaited for each in (self, *self.repeated))

    def set_answer(self, answer: str) -> None:
        """Answer this decision and its repetitions."""
        for each in (self, *self.repeated):
            each.answer = answer


class DecisionQueue:
    """Decisions that are not carried out yet, in their order, and the answers to those that are."""

    def __init__(
        self, pending: Sequence[SignalledDecision], answers: Sequence[str], refused: Mapping[str, int] | None = None
    ) -> None:
        self.pending: deque[QueuedDecision] = deque()
        self.answers = list(answers)
        self.refused = dict(refused or {})
        """Answers to signals that decided nothing, each with the number of such signals."""
        self.in_progress: list[QueuedDecision] = []
        self.sifted = 0
        """Number of pending decisions, from the first, that may decide."""
        self._sifting = 0
        self._size = 0
        self._coded: dict[tuple[object, ...], QueuedDecision] = {}
        for decision in pending:
            self.add(decision)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is pending, and nothing is being carried out."""
        return not self.pending and not self.in_progress

    @property
    def fits(self) -> bool:
        """Whether the pending decisions fit into another run's input, and no activity or update is in progress."""
        is_busy = self.in_progress or self._sifting or any(each.is_awaited for each in self.pending)
        return not is_busy and self._size <= CARRIED

    def add(self, decision: SignalledDecision) -> QueuedDecision:
        """Queue a decision. An equal one with the same code that is pending is the same decision."""
        signalled = self._coded.get(_key(decision)) if decision.code else None
        if signalled is None:
            signalled = QueuedDecision(decision)
            self.pending.append(signalled)
            self._size += _size(decision)
            if decision.code:
                self._coded[_key(decision)] = signalled
        return signalled

    def note(self, answer: str) -> None:
        """Keep an answer; only the newest `ANSWERS` are kept. It is cleaned, because it repeats the sender's words."""
        self.answers.append(on_one_line(answer[:LONGEST_ANSWER]))
        del self.answers[:-ANSWERS]

    def note_refused(self, answer: str, number: int = 1) -> None:
        """Count under their answer signals that decided nothing. They displace no answer to a decision."""
        text = on_one_line(answer[:LONGEST_ANSWER])
        self.refused[text] = self.refused.pop(text, 0) + number
        for oldest in [*self.refused][:-ANSWERS]:
            del self.refused[oldest]

    def all_answers(self) -> list[str]:
        """Return the answers to signals: first to those that decided, then to those that did not."""
        return [*self.answers, *(f"{text} ({_signals(number)})" for text, number in self.refused.items())]

    def begin_sifting(self) -> list[Candidate]:
        """Return the choices and proofs of the next signals, which stay pending."""
        first, size = list[Candidate](), 0
        for each in (signalled.decision for signalled in islice(self.pending, MOST_SIFTED)):
            size += len(json.dumps([each.reviewer, each.code])) + OVERHEAD
            if first and size > CARRIED:
                break
            first.append(Candidate(each.choice, each.reviewer, each.code, each.days, each.received_in))
        self._sifting = len(first)
        return first

    def sift(self, sifted: Sifted) -> None:
        """Keep those of the sifted signals that may decide, and answer the others."""
        first = [self._pop() for _ in range(self._sifting)]
        for each in reversed([first[place] for place in sifted.chosen]):
            self._put_back(each)
        self.sifted, self._sifting = len(sifted.chosen), 0
        for refusal in sifted.refusals:
            self._refuse([first[place] for place in refusal.positions], refusal.text)

    def begin_portion(self) -> list[SignalledDecision]:
        """Begin the next portion of the sifted decisions. Repetitions of a decision are joined to it."""
        size = 0
        while self.sifted and len(self.in_progress) < PORTION:
            size += _size(self.pending[0].decision)
            if self.in_progress and size > CARRIED:
                break
            each, self.sifted = self._pop(), self.sifted - 1
            # Only if one directly follows the other: between two equal ones another decision may come.
            if self.in_progress and each.decision == self.in_progress[-1].decision:
                self.in_progress[-1].repeated.append(each)
            else:
                self.in_progress.append(each)
        return [each.decision for each in self.in_progress]

    def finish(self, answers: Sequence[str]) -> None:
        """Record the answers to the portion in progress."""
        for each, answer in zip(self.in_progress, answers, strict=False):
            self.note(f"{each.decision.choice} by {each.decision.reviewer}: {answer}")
            self._answer(each, answer)
        self.in_progress = []

    def requeue(self) -> None:
        """Put the portion in progress back into the queue, because it could not be carried out now."""
        for each in reversed(self.in_progress):
            self._put_back(each)
        self.in_progress, self.sifted, self._sifting = [], 0, 0

    def _refuse(self, refused: Sequence[QueuedDecision], text: str) -> None:
        for each in refused:
            self._answer(each, text)
        senders = {(each.decision.choice, each.decision.reviewer) for each in refused}
        choice, reviewer = senders.pop()
        who = "several reviewers" if senders else f"{choice} by {reviewer}"
        self.note_refused(f"{who}: {text}", len(refused))

    def _answer(self, signalled: QueuedDecision, answer: str) -> None:
        signalled.set_answer(answer)
        self._coded.pop(_key(signalled.decision), None)

    def _pop(self) -> QueuedDecision:
        signalled = self.pending.popleft()
        self._size -= _size(signalled.decision)
        return signalled

    def _put_back(self, signalled: QueuedDecision) -> None:
        self.pending.appendleft(signalled)
        self._size += _size(signalled.decision)


def _key(decision: SignalledDecision) -> tuple[object, ...]:
    return decision.choice, decision.reviewer, decision.code, decision.days


def _size(decision: SignalledDecision) -> int:
    proof = len(json.dumps(decision.code)) + OVERHEAD if decision.code else 0
    return len(json.dumps([decision.reviewer, decision.reason])) + 200 + proof


def _signals(number: int) -> str:
    return "1 signal" if number == 1 else f"{number} signals"
