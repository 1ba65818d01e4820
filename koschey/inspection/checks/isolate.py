"""Runs a third-party check in a child process, and judges how it ended: with an answer, or with a fault.

The child has limits of memory, processor time and wall time, no environment variables but `HOME` and `TMPDIR`, a folder
of its own that is removed, and the file open for reading only. It is not a jail: it runs under the account of the
worker and can reach the network, so install only checks that you would let run there. The child contains the mistakes
of a check, and the effects of hostile files on it.
"""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from koschey.inspection.archives.limits import MIB, Limits
from koschey.inspection.checks.check import Code, FileFacts, Finding, Previous
from koschey.inspection.checks.plugin_child import Question
from koschey.inspection.sandbox.interpreter import ISOLATED
from koschey.policy.findings import FindingAction, Severity

BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from koschey.inspection.checks.plugin_child import main; main()"
)
MAX_ANSWER = MIB
MAX_FINDINGS = 100
MAX_TEXT = 500
NUL = b"\\u0000"


class ReportedFinding(msgspec.Struct):
    """A finding, as the child printed it."""

    code: str
    severity: Severity
    summary: str
    evidence: dict[str, Any] = {}


class DeclaredCode(msgspec.Struct):
    """A code, as the child printed it."""

    what: str
    action: FindingAction
    severity: Severity


class PluginAnswer(msgspec.Struct):
    """What the child prints."""

    findings: list[ReportedFinding] = []
    fault: str | None = None
    name: str = ""
    codes: dict[str, DeclaredCode] = {}


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """The result of one check for one file."""

    findings: tuple[Finding, ...] = ()
    fault: str | None = None
    """Why the check did not examine all of the file; None if it did."""


class Fault(Exception):
    """A check did not do its part; the message says why. It becomes a `CheckOutcome`, or a reason not to start."""


@dataclass(frozen=True, slots=True)
class Isolated:
    """A check that is run in a child: `target` is the `module:object` of its entry point."""

    target: str
    name: str = ""
    codes: Mapping[str, Code] = field(default_factory=dict)
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    spool: Path | None = None
    reads_file = True
    compares = True

    async def run(self, facts: FileFacts, descriptor: int, previous: Previous | None) -> CheckOutcome:
        """Run the check on a file that is open under a descriptor. Never raises for what the check does."""
        file = os.open(f"/dev/fd/{descriptor}", os.O_RDONLY)
        try:
            answer = await self._ask(Question(self.target, facts, previous, file), file)
            return CheckOutcome(judge_findings(answer, self.codes), _short(answer.fault))
        except Fault as fault:
            return CheckOutcome(fault=str(fault))
        finally:
            os.close(file)

    async def describe(self) -> tuple[str, dict[str, Code]]:
        """Return its name and codes. Raises `Fault`."""
        answer = await self._ask(Question(self.target))
        if answer.fault:
            raise Fault(answer.fault[:MAX_TEXT])
        return answer.name, {
            code: Code(declared.what, declared.action, declared.severity) for code, declared in answer.codes.items()
        }

    async def _ask(self, question: Question, *files: int) -> PluginAnswer:
        with tempfile.TemporaryDirectory(dir=self.spool, ignore_cleanup_errors=True) as folder:
            printed, status = await self._run(question, folder, files)
        if status < 0:
            raise Fault(_explain(signal.Signals(-status), self.limits))
        if NUL in printed:
            raise Fault("it answered with a NUL character")
        try:
            return msgspec.json.decode(printed, type=PluginAnswer)
        except msgspec.MsgspecError as error:
            raise Fault(f"it ended with status {status} and no answer that can be read: {error}"[:MAX_TEXT]) from None

    async def _run(self, question: Question, folder: str, files: Sequence[int]) -> tuple[bytes, int]:
        bounds = [str(self.limits.memory), str(self.limits.cpu)]
        with tempfile.TemporaryFile(dir=folder) as question_file:
            question_file.write(msgspec.json.encode(question))
            question_file.seek(0)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *ISOLATED,
                "-c",
                BOOT,
                _import_paths(),
                *bounds,
                stdin=question_file,
                stdout=PIPE,
                stderr=DEVNULL,
                env={"TMPDIR": folder, "HOME": folder},
                cwd=folder,
                pass_fds=files,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(self.limits.wall):
                return await _read(process), await process.wait()
        except TimeoutError:
            raise Fault(f"it did not end within {self.limits.wall:g} seconds") from None
        finally:
            await _end(process)


def _import_paths() -> str:
    """Return the import paths of this process for the child, as JSON; the empty path is the current folder."""
    return msgspec.json.encode([str(Path(path).absolute()) for path in sys.path]).decode()


def judge_findings(answer: PluginAnswer, codes: Mapping[str, Code]) -> tuple[Finding, ...]:
    """Return the findings if the check may report them. Raises `Fault`."""
    if len(answer.findings) > MAX_FINDINGS:
        raise Fault(f"it answered with {len(answer.findings)} findings; at most {MAX_FINDINGS} are accepted")
    for said in answer.findings:
        if said.code not in codes:
            raise Fault(f"it answered with the code {said.code[:MAX_TEXT]!a}, which it does not declare")
    return tuple(Finding(said.code, said.severity, said.summary[:MAX_TEXT], said.evidence) for said in answer.findings)


def _short(text: str | None) -> str | None:
    return text[:MAX_TEXT] if text else text


def _explain(ended_by: signal.Signals, limits: Limits) -> str:
    if ended_by in (signal.SIGXCPU, signal.SIGKILL):
        return f"it did not end within {limits.cpu} seconds of processor time, or was killed"
    return f"it crashed ({ended_by.name}); it may have {limits.memory // MIB} MiB of memory"


async def _read(process: Process) -> bytes:
    assert process.stdout is not None
    printed = bytearray()
    while chunk := await process.stdout.read(2**16):
        printed += chunk
        if len(printed) > MAX_ANSWER:
            raise Fault(f"it answered with more than {MAX_ANSWER} bytes")
    return bytes(printed)


async def _end(process: Process) -> None:
    """Kill the child and all processes of its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # The transport closes its pipe only when all was read.
    await process.communicate()
