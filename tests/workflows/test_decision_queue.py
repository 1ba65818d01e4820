"""What a quarantine keeps of signals: bounded in size, each answered, and nothing lost when a run hands on."""

import json
import random
from dataclasses import asdict, replace
from typing import Any

import pytest

from activities.decisions import Sifted, SignalledDecision
from koschey.quarantine.signal_sifting import Refusal
from workflows.decision_queue import ANSWERS, MOST_SIFTED, PORTION, DecisionQueue, NotADecision, read_decision
from workflows.options import CARRIED

LARGEST_PAYLOAD = 256 * 1024
SAMPLE = SignalledDecision("six", "1.0", "approve", "rita", "seen")


def coded(number: int, **changes: Any) -> SignalledDecision:
    return replace(SAMPLE, code=f"{number:010d}", **changes)


def queue(*pending: SignalledDecision) -> DecisionQueue:
    return DecisionQueue(pending, [])


def sift(pending: DecisionQueue) -> None:
    """Let every pending decision pass."""
    pending.sift(Sifted(list(range(len(pending.begin_sifting())))))


@pytest.mark.parametrize(
    "given",
    [
        *([], [None], [7], ["approve"], [{}], [{"reviewer": "rita"}], [{"reason": "seen"}], [{}, {}]),
        [{"reviewer": 7, "reason": "seen"}],
        [{"reviewer": "rita", "reason": "seen", "code": 7}],
        [{"reviewer": "rita", "reason": "seen", "code": None}],
    ],
)
def test_what_is_no_review_is_told_what_to_send(given: list[object]) -> None:
    """The answer names every field, the code among them."""
    with pytest.raises(NotADecision, match=r'"reviewer": .*"reason": .*"code": '):
        read_decision("six", "1.0", "approve", given)


def test_what_a_review_may_be() -> None:
    """A review may lack a code, for a trusted Temporal. Texts are cut, a reason to a length that is refused."""
    assert read_decision("six", "1.0", "reject", [{"reviewer": "rita", "reason": "no"}]).code == ""
    read = read_decision(
        "six", "1.0", "extend", [{"reviewer": "r" * 500, "reason": "w" * 5000, "code": "c" * 500, "days": 7, "x": 1}]
    )
    assert (len(read.reviewer), len(read.reason), len(read.code), read.days) == (100, 2001, 40, 7)


@pytest.mark.parametrize("letter", ["x", "ü", "\ud800", '"', "\0"])
def test_no_call_of_an_activity_is_too_large(letter: str) -> None:
    """Whatever strangers fill the fields with, what is sifted or carried out at once fits into one payload."""
    given = {"reviewer": letter * 500, "reason": letter * 5000, "code": letter * 500}
    filled = queue()
    for number in range(3_000):
        filled.add(read_decision("s" * 100, "1.0", "approve", [{**given, "code": f"{number}" + letter * 500}]))
    assert not filled.fits
    candidates = [asdict(each) for each in filled.begin_sifting()]
    assert 10 < len(candidates) <= MOST_SIFTED
    assert len(json.dumps(candidates)) < LARGEST_PAYLOAD
    filled.sift(Sifted(list(range(len(candidates)))))
    portion = [asdict(each) for each in filled.begin_portion()]
    assert 0 < len(portion) <= PORTION
    assert len(json.dumps(portion)) < LARGEST_PAYLOAD


def test_what_one_run_hands_to_the_next_is_bounded() -> None:
    """As long as it does not fit it is sifted; what fits is one payload with the answers, whatever these are."""
    handed = queue()
    number = 0
    while handed.fits:
        handed.add(coded(number, reviewer="\ud800" * 100, reason="\ud800" * 100, received_in="r" * 36))
        number += 1
    decisions = [asdict(each.decision) for each in handed.pending]
    for n in range(100):
        handed.note("\ud800" * 1000)
        handed.note_refused(f"{n}" + "\ud800" * 1000)
    assert len(json.dumps([decisions, handed.answers, handed.refused])) < LARGEST_PAYLOAD
    assert len(decisions) > 50
    assert len(handed.answers) == len(handed.refused) == ANSWERS


def test_the_same_code_is_one_decision() -> None:
    """However often it comes before it is carried out; one that comes later is sifted once more."""
    repeated = queue(coded(1), coded(1, reason="other words"), coded(2), coded(1))
    assert [each.decision.code[-1] for each in repeated.pending] == ["1", "2"]
    assert repeated.pending[0].decision.reason == "seen"
    repeated.begin_sifting()
    repeated.sift(Sifted([0], [Refusal("wrong", [1])]))
    repeated.begin_portion()
    repeated.finish(["serial 7"])
    repeated.add(coded(1))
    assert [each.decision.code[-1] for each in repeated.pending] == ["1"]


def test_without_codes_only_neighbours_are_one_decision() -> None:
    """Approve, block, approve are three decisions in this order; approve, approve are one, and both are answered."""
    block = replace(SAMPLE, choice="block")
    plain = queue()
    entries = [plain.add(each) for each in (SAMPLE, SAMPLE, block, SAMPLE)]
    sift(plain)
    assert plain.begin_portion() == [SAMPLE, block, SAMPLE]
    plain.finish(["one", "two", "three"])
    assert [each.answer for each in entries] == ["one", "one", "two", "three"]


def test_an_update_keeps_its_run_until_it_is_answered() -> None:
    """A run that somebody waits for does not go on as a new one, also where the decision is a repetition."""
    waited = queue(SAMPLE)
    entry = waited.add(SAMPLE)
    assert waited.fits
    entry.awaited = True
    assert not waited.fits
    sift(waited)
    waited.begin_portion()
    waited.requeue()
    assert not waited.fits
    sift(waited)
    waited.begin_portion()
    waited.finish(["done"])
    assert entry.answer == "done"
    assert waited.fits


def test_answers_are_clean() -> None:
    """A sender's words in an answer steer no terminal at which somebody asks for the answers."""
    queue = DecisionQueue([], [])
    queue.note("approve by \x9b31mX\u202e: refused")
    queue.note_refused("reject by \x1b]0;title\x07: refused")
    assert queue.all_answers() == [
        "approve by \\x9b31mX\\u202e: refused",
        "reject by \\x1b]0;title\\x07: refused (1 signal)",
    ]


def test_refusals_are_counted_and_displace_no_answer() -> None:
    """Thousands of alike signals are one line, and the answers to real decisions stay."""
    flooded = queue()
    flooded.note("approve by rita: serial 7")
    for n in range(1_000):
        flooded.note_refused("no review")
        flooded.note_refused(f"junk {n}")
    told = flooded.all_answers()
    assert told[0] == "approve by rita: serial 7"
    assert "no review (1000 signals)" in told
    assert len(told) == 1 + ANSWERS


@pytest.mark.parametrize("seed", range(20))
def test_every_signal_is_answered_once(seed: int) -> None:
    """In whatever order signals come, are sifted, fail and are handed on, each is carried out or refused, once."""
    chance, model = random.Random(seed), queue()
    entries, carried, waiting = [], list[str](), list(range(400))
    while waiting or not model.is_idle:
        coming = [waiting.pop(0) for _ in range(min(len(waiting), chance.randrange(60)))]
        entries += [model.add(coded(number, reason="w" * chance.randrange(2000))) for number in coming]
        if not model.pending:
            continue
        candidates = model.begin_sifting()
        if chance.random() < 0.2:
            model.requeue()
            continue
        right = [place for place, each in enumerate(candidates) if int(each.code) % 3 == 0]
        wrong = [place for place in range(len(candidates)) if place not in right]
        model.sift(Sifted(right, [Refusal("wrong", wrong)] if wrong else []))
        while model.sifted:
            portion = model.begin_portion()
            if chance.random() < 0.2:
                model.requeue()
                break
            carried += [each.code for each in portion]
            model.finish(["done"] * len(portion))
        if model.fits and chance.random() < 0.3:
            left = [each.decision for each in model.pending]
            model = DecisionQueue(left, model.answers, model.refused)
            entries = [entry for entry in entries if entry.answer] + list(model.pending)
    assert sorted(carried) == [f"{n:010d}" for n in range(0, 400, 3)]
    assert {entry.answer for entry in entries} == {"done", "wrong"}
    assert sum(model.refused.values()) == 400 - len(carried)
    assert CARRIED < LARGEST_PAYLOAD
