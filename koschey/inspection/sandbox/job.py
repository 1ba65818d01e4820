"""The work of a child: one archive on standard input, one JSON object on standard output.

The child limits itself before it reads the archive. It has no secrets in its environment and opens nothing else.
"""

import base64
import json
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, BinaryIO

from koschey.errors import Refused
from koschey.inspection.archives.faults import Faults
from koschey.inspection.archives.limits import MIB
from koschey.inspection.dists.sdists import read_sdist, report_sdist
from koschey.inspection.dists.wheels import read_wheel, report_wheel
from koschey.standards.core_metadata import parse_core_metadata


def work(filename: str, memory: int, cpu: int, wanted: str) -> None:
    """Read the archive of this name, with at most `memory` bytes of memory and `cpu` seconds of processor time."""
    _bind(memory, cpu)
    os.lseek(0, 0, os.SEEK_SET)
    with open(0, "rb", closefd=False) as archive:
        printed = json.dumps(ANSWERS[wanted](archive, filename, os.fstat(0).st_size, memory))
    sys.stdout.write(printed)


def _bind(memory: int, cpu: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def answer(archive: BinaryIO, filename: str, size: int, memory: int) -> dict[str, Any]:
    """Return the metadata in an uploaded archive and its faults; or under `refused` the rule that it breaks."""
    return _guarded(lambda: _inspect(archive, filename, size), filename, memory)


def report(archive: BinaryIO, filename: str, size: int, memory: int) -> dict[str, Any]:
    """Return what an archive contains, or under `refused` the rule that it breaks."""
    make = report_wheel if filename.endswith(".whl") else report_sdist
    return _guarded(lambda: asdict(make(archive, filename, size)), filename, memory)


def _guarded(work: Callable[[], dict[str, Any]], filename: str, memory: int) -> dict[str, Any]:
    try:
        return work()
    except Refused as refusal:
        return {"refused": str(refusal)}
    except MemoryError:
        return {"refused": f"{filename} cannot be read within {memory // MIB} MiB of memory."}
    except Exception as error:  # noqa: BLE001 - hostile archives make the libraries raise anything
        return {"refused": f"Invalid distribution file. {filename} is broken: {error or type(error).__name__}"[:500]}


def _inspect(archive: BinaryIO, filename: str, size: int) -> dict[str, Any]:
    is_wheel, faults = filename.endswith(".whl"), Faults(strict=False)
    body = read_wheel(archive, filename, size, faults) if is_wheel else read_sdist(archive, filename, size)
    core = parse_core_metadata(body, "METADATA" if is_wheel else "PKG-INFO")
    return {
        "project": core.project,
        "version": str(core.version),
        "requires_python": core.requires_python,
        "metadata": base64.b64encode(body).decode(),
        "faults": faults.found,
    }


ANSWERS = {"metadata": answer, "content": report}
"""The answers that a caller can request."""
