"""Signals of reviewers: which of thousands carry a right code, and the lines that send one."""

import json
import shlex
from collections.abc import Sequence
from datetime import timedelta

import pytest

from koschey.auth.codes import new_code
from koschey.db.pool import Connection
from koschey.quarantine.decide import Choice
from koschey.quarantine.reviewer_codes import LIFETIME
from koschey.quarantine.signal_commands import signal_input, signal_lines
from koschey.quarantine.signal_sifting import Candidate, Sifted, sift_by_account, sift_by_code
from tests.support.postgres import set_clock
from tests.support.reviewer_codes import EGGS, RELEASE, SPAM, code_for, use
from tests.support.rows import NOON


async def test_thousands_are_sifted_in_one_statement(spam: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many guess, one statement finds the signals that carry a right code."""
    issued = await code_for(spam)
    candidates = [Candidate("approve", "rita", new_code()) for _ in range(3_000)]
    candidates += [Candidate("approve", "rita"), Candidate("approve", "rita", "junk"), Candidate("trust", "rita", "x")]
    candidates[1_234] = Candidate("approve", "rita", issued.code.lower())
    statements = 0

    class Counting:
        async def fetch(self, *args: object) -> object:
            nonlocal statements
            statements += 1
            return await spam.fetch(*args)

    sifted = await sift_by_code(Counting(), RELEASE, candidates, no_receipt)
    assert statements == 1
    assert sifted.chosen == [1_234]
    assert sifted.wrong == 3_001
    refused = [place for refusal in sifted.refusals for place in refusal.positions]
    assert sorted([*refused, 1_234]) == list(range(3_003))
    assert len(sifted.refusals) <= 3


async def no_receipt(code: str, run: str) -> timedelta | None:
    raise AssertionError((code, run))


async def test_only_late_codes_are_looked_up_in_the_history(spam: Connection) -> None:
    """Nobody can have histories read with codes that do not exist, or that were used."""
    first, second = await code_for(spam), await code_for(spam)
    await use(spam, first.code)
    await set_clock(spam, NOON + 2 * LIFETIME)
    asked: list[tuple[str, str]] = []

    async def age(code: str, run: str) -> timedelta | None:
        asked.append((code, run))
        return LIFETIME

    candidates = [
        Candidate("approve", "rita", code, received_in="run") for code in (new_code(), first.code, second.code)
    ]
    assert (await sift_by_code(spam, RELEASE, candidates, age)).chosen == [2]
    assert asked == [(second.code, "run")]


async def test_trusted_signals_are_sifted_by_account(spam: Connection) -> None:
    """Where no code is needed, names that may not decide are sorted out for all signals together."""
    names = ["rita", "sven", "ulf", "nobody", "", "rita\0", "rita"]
    sifted = await sift_by_account(spam, SPAM, [Candidate("approve", name) for name in names])
    assert sifted.chosen == [0, 6]
    assert [refusal.positions for refusal in sifted.refusals] == [[1, 2, 3, 4, 5]]
    assert await sift_by_account(spam, EGGS, [Candidate("approve", "sven")]) == Sifted([0])


def words(lines: Sequence[str]) -> list[list[str]]:
    return [shlex.split(line) for line in lines]


async def test_ready_lines_say_what_the_code_is_for(spam: Connection) -> None:
    """Each line carries reviewer, code and reason, whatever the reason is made of, and a batch all of its releases."""
    reason = 'it\'s "fine" $(rm -rf /) `x` \n ü \x1b[31m'
    issued = await code_for(spam, Choice.EXTEND, days=3)
    given = json.loads(signal_input(issued, reason))
    assert given == {"reviewer": "rita", "reason": reason, "code": issued.code, "days": 3}
    for line in words(signal_lines(issued, reason)):
        assert json.loads(line[line.index("--input") + 1]) == given
        assert "quarantine/spam/1.0" in line
        assert "extend" in line
    batch = await code_for(spam, Choice.BLOCK, RELEASE, (EGGS, "1.0"))
    for line in words(signal_lines(batch, reason)):
        query = line[line.index("--query") + 1]
        assert query == 'WorkflowId IN ("quarantine/spam/1.0", "quarantine/eggs/1.0") AND ExecutionStatus="Running"'
        assert "reject" in line
    assert not [line for line in signal_lines(issued, reason) if not line.isprintable()]
