"""Tests whether a description can be rendered, in a child process, because hostile text can take any amount of time.

The public index refuses a description that its renderer refuses, so Koschey uses the same renderer. The child reads the
text from standard input and exits with 0, or prints in one line what is wrong.
"""

import asyncio
import io
import resource
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from email.message import Message
from pathlib import Path

import koschey
from koschey.inspection.sandbox.interpreter import ISOLATED, close_others
from koschey.standards.core_metadata import CoreMetadata

BOOT = "import sys; sys.path.append(sys.argv[1]); from koschey.hosting.upload_rules.description import main; main()"
RST = "text/x-rst"
"""The type of a description that states none."""
MEMORY = 512 * 2**20
"""Bytes of address space."""
CPU = 20
"""Seconds of processor time."""
WALL = 60.0
"""Seconds of wall time until the child is killed. The machine may be busy, so these are more than `CPU`."""
AT_ONCE = asyncio.Semaphore(4)
SHOWN = 200


async def find_fault(core: CoreMetadata) -> str | None:
    """Return why the description cannot be rendered, as a message for the uploader; None if it can."""
    kind, variant = _parse_type(core.description_content_type)
    if core.description is None or kind == "text/plain":
        return None
    async with AT_ONCE:
        reason = await _render(core.description, kind, variant)
    if reason is None:
        return None
    stated = f"for '{kind}'" if core.description_content_type else "in the default format of reStructuredText"
    return f"The description failed to render {stated}: {reason}"


def _parse_type(text: str | None) -> tuple[str, str]:
    message = Message()
    message["Content-Type"] = text or RST
    return message.get_content_type(), str(message.get_param("variant", "GFM"))


async def _render(text: str, kind: str, variant: str) -> str | None:
    root = str(Path(str(koschey.__file__)).parents[1])
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *ISOLATED,
        "-c",
        BOOT,
        root,
        kind,
        variant,
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        env={},
        cwd="/",
    )
    try:
        async with asyncio.timeout(WALL):
            printed, _ = await process.communicate(text.encode())
    except TimeoutError:
        return f"it takes more than {WALL:g} seconds"
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    if process.returncode == 0:
        return None
    if process.returncode == -signal.SIGXCPU:
        return f"it takes more than {CPU} seconds of processor time"
    said = printed.decode(errors="replace").strip().replace("<string>:", "line ")
    return ascii(said[:SHOWN])[1:-1] or "the renderer cannot read it"


def main() -> None:
    """Render standard input; the last arguments are its type and its variant of Markdown."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU, CPU + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    close_others()
    kind, variant = sys.argv[-2:]
    text, said = sys.stdin.buffer.read().decode(), io.StringIO()
    if kind == RST:
        from readme_renderer import rst  # noqa: PLC0415 - only the child pays for it

        rendered = rst.render(text, stream=said)
    else:
        from readme_renderer import markdown  # noqa: PLC0415

        rendered = markdown.render(text, variant=variant)
    if rendered is None:
        sys.stdout.write(said.getvalue().strip().partition("\n")[0])
        sys.exit(1)
