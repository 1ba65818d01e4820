"""Runs in the child of a check: loads the check, asks it one question, and prints one JSON object.

The child limits itself before it loads third-party code. What the check prints is discarded: the answer has a pipe of
its own. The child has no secrets in its environment.
"""

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import msgspec

from koschey.inspection.checks.check import GROUP, Code, FileFacts, Finding, Skipped
from koschey.inspection.sandbox.interpreter import close_others
from koschey.policy.findings import FindingAction, Severity


class Question(msgspec.Struct):
    """The question, on standard input."""

    target: str
    """`module:object` of the check."""
    facts: FileFacts | None = None
    """None if the check only has to describe itself."""
    previous: FileFacts | None = None
    descriptor: int = -1
    """The descriptor under which the file is open."""


def main() -> None:
    """Answer the question; the arguments are the limits: bytes of memory and seconds of processor time."""
    memory, cpu = (int(argument) for argument in sys.argv[-2:])
    _bind(memory, cpu)
    answer_to = os.dup(1)
    os.dup2(2, 1)
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    close_others(answer_to, question.descriptor)
    printed = _encode(_answer(question))
    with os.fdopen(answer_to, "wb") as pipe:
        pipe.write(printed)
    # Exit at once, even if the check left threads behind.
    os._exit(0)


def _bind(memory: int, cpu: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)


def _encode(answer: dict[str, Any]) -> bytes:
    try:
        return json.dumps(answer).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return json.dumps({"fault": f"its answer cannot be written as JSON: {type(error).__name__}: {error}"}).encode()


def _answer(question: Question) -> dict[str, Any]:
    try:
        check = EntryPoint("check", question.target, GROUP).load()
        if question.facts is None:
            return _describe(check)
        path = Path(f"/dev/fd/{question.descriptor}")
        found = asyncio.run(check(question.facts, path, question.previous))
        return {"findings": _plain(found)}
    except Skipped as skipped:
        return {"findings": _plain(skipped.findings), "fault": f"it skipped {skipped.reason}"}
    except MemoryError:
        return {"fault": "it needs more memory than its limit"}
    except BaseException as error:  # noqa: BLE001 - a check may even try to exit
        return {"fault": f"it failed: {type(error).__name__}: {error}"}


def _describe(check: Any) -> dict[str, Any]:
    codes = {
        str(code): {
            "what": declared.what,
            "action": FindingAction(declared.action),
            "severity": Severity(declared.severity),
        }
        for code, declared in check.codes.items()
        if isinstance(declared, Code)
    }
    if not callable(check) or len(codes) != len(check.codes):
        return {"fault": "it is not a check: see koschey.inspection.checks.check"}
    return {"name": str(check.name), "codes": codes}


def _plain(found: Sequence[Finding]) -> list[dict[str, Any]]:
    if isinstance(found, str | bytes) or not all(isinstance(one, Finding) for one in found):
        raise TypeError("a check returns a list of findings")
    return [
        {"code": one.code, "severity": Severity(one.severity), "summary": one.summary, "evidence": one.evidence}
        for one in found
    ]
