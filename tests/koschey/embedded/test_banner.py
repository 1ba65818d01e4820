"""What `koschey up` prints."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.support.bound_processes import bound

SCRIPT = """
import os
import sys
from koschey.embedded.banner import ProgressReport
from koschey.terminal.tables import Terminal

report = ProgressReport(Terminal(), as_json=False)
report.step("Starting")
sys.stdin.readline()
report.say("web was ended by SIGKILL; starting it again")
report.step("Stopping")
report.end_steps()
os._exit(7)
"""


@pytest.mark.parametrize("open_output", [os.pipe, pty.openpty], ids=["pipe", "terminal"])
def test_lost_output_is_ignored(open_output: Callable[[], tuple[int, int]]) -> None:
    """After its terminal or the reader of its output has gone, `koschey up` still stops its parts in order."""
    read_end, write_end = open_output()
    with subprocess.Popen(
        bound([sys.executable, "-c", SCRIPT]),
        stdin=subprocess.PIPE,
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        os.close(write_end)
        assert os.read(read_end, 1000)
        os.close(read_end)
        _, said = process.communicate("\n", timeout=60)
    assert process.returncode == 7, said
