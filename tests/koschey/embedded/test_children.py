"""The children of `koschey up`: how they end, what their logs say, and how often they are started again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from koschey.embedded import supervisor as supervisor_module
from koschey.embedded.child import MAX_LOG, Child, stop_all
from koschey.embedded.environment import FOLDER_MARK, folder_mark
from koschey.embedded.leftovers import end_leftovers
from koschey.embedded.signals import Signals
from koschey.embedded.supervisor import GaveUpError, Supervisor
from koschey.errors import StartError
from tests.support.bound_processes import bound
from tests.support.embedded_parts import SLEEP, eventually, gone, part, supervised


def test_descendants_end_with_their_part(claimed: Path) -> None:
    """What a part has started is gone when the part is, also when it was not told to stop."""
    script = "import subprocess,sys; p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True); p.wait()"
    child = Child(part(claimed, sys.executable, "-c", script))
    assert eventually(lambda: child.part.log.read_text().endswith("\n"))
    grandchild = int(child.part.log.read_text())
    stop_all([child])
    assert eventually(lambda: gone(grandchild) and gone(child.pid))


def test_a_part_that_does_not_stop_is_killed(claimed: Path) -> None:
    """A part that ignores the signal is killed when its grace is over."""
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    child = Child(part(claimed, sys.executable, "-c", script, grace=0.2))
    assert eventually(lambda: child.part.log.read_text() == "1\n")
    stop_all([child])
    assert child.exit_status() == -signal.SIGKILL


def test_a_child_does_not_outlive_a_killed_parent(claimed: Path) -> None:
    """When the process that started a part is killed outright, the system ends the part."""
    script = (
        "import os, sys, time; from pathlib import Path; from koschey.embedded.child import Child, Part\n"
        "folder = Path(sys.argv[1])\n"
        f"child = Child(Part('p', 'p', {SLEEP!r}, os.environ, folder, folder / 'logs' / 'p.log'))\n"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    command = bound([sys.executable, "-c", script, str(claimed)])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as parent:
        try:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            assert eventually(lambda: psutil.Process(pid).cmdline() == list(SLEEP))
        finally:
            parent.kill()
    assert eventually(lambda: gone(pid))


def test_the_log_says_why(claimed: Path) -> None:
    """The last telling lines of this start are quoted with the path of the log, not those of earlier starts."""
    claimed.joinpath("logs", "part.log").write_text("error: of yesterday\n")
    script = "import sys; print('fine'); sys.exit('FATAL: the disk is full')"
    child = Child(part(claimed, sys.executable, "-c", script))
    assert eventually(lambda: child.exit_status() == 1)
    assert child.last_words() == f"FATAL: the disk is full (log: {child.part.log})"
    child.finish()


def test_a_program_that_is_not_there_is_named(claimed: Path) -> None:
    """A part whose program cannot be run ends at once, and its log says which."""
    child = Child(part(claimed, "/no/such/program"))
    assert eventually(lambda: child.exit_status() == 1)
    assert "/no/such/program" in child.last_words()
    child.finish()


def test_logs_do_not_grow_for_ever(claimed: Path) -> None:
    """A log that has become too large is put aside at the next start."""
    log = claimed / "logs" / "part.log"
    log.write_bytes(b"x" * (MAX_LOG + 1))
    stop_all([Child(part(claimed, *SLEEP))])
    assert log.stat().st_size == 0
    assert (claimed / "logs" / "part.log.1").stat().st_size == MAX_LOG + 1


def test_leftovers_are_ended(claimed: Path) -> None:
    """A process that belongs to this folder is ended; one that belongs to another folder is not."""
    environment = {**os.environ, FOLDER_MARK: folder_mark(claimed)}
    with (
        subprocess.Popen(bound(SLEEP), env=environment, start_new_session=True) as ours,
        subprocess.Popen(bound(SLEEP), env={**os.environ, FOLDER_MARK: "1:1"}) as other,
    ):
        end_leftovers(claimed)
        assert eventually(lambda: gone(ours.pid))
        assert other.poll() is None
        other.kill()


# Under a supervisor


def test_a_part_that_dies_while_starting_is_reported(claimed: Path) -> None:
    """A part that ends before it is ready ends the start, with its last words."""
    with supervised() as supervisor:
        supervisor.start(part(claimed, *SLEEP, name="other"))
        supervisor.start(part(claimed, sys.executable, "-c", "exit('error: no')", is_ready=lambda _: False))
        with pytest.raises(StartError, match="the part ended with exit code 1: error: no"):
            supervisor.wait_for("other", "part")


def test_a_part_that_ends_well_at_any_moment_is_ready(claimed: Path) -> None:
    """What only has something to do has not failed when it ends just after it was asked whether it is ready."""

    def asked_too_early(child: Child) -> bool:
        was_ready = child.exit_status() == 0
        assert eventually(lambda: child.exit_status() is not None)
        return was_ready

    with supervised() as supervisor:
        supervisor.run(part(claimed, sys.executable, "-c", "pass", is_ready=asked_too_early))


def test_a_part_that_is_never_ready_is_reported(claimed: Path) -> None:
    """Patience has an end."""
    with supervised() as supervisor:
        supervisor.start(part(claimed, *SLEEP, is_ready=lambda _: False, patience=0.1))
        with pytest.raises(StartError, match="not ready after 0 seconds"):
            supervisor.wait_for("part")


def test_a_part_that_dies_is_started_again(claimed: Path) -> None:
    """A part that was killed is started again, and both are told."""
    said: list[str] = []
    signals = Signals()

    def say(text: str) -> None:
        said.append(text)
        if "is back" in text:
            signals.receive(signal.SIGTERM, None)

    supervisor = Supervisor(signals, say)
    supervisor.start(part(claimed, *SLEEP))
    supervisor.wait_for("part")
    first = supervisor.pids()["part"]
    os.kill(first, signal.SIGKILL)
    supervisor.watch()
    assert supervisor.pids()["part"] != first
    supervisor.stop()
    signals.close()
    assert said == ["the part was ended by SIGKILL; starting it again", "the part is back"]


def test_a_part_that_keeps_dying_is_given_up(claimed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After five deaths within a minute the reason is said instead of a sixth start."""
    monkeypatch.setattr(supervisor_module, "FIRST_PAUSE", 0.01)
    said: list[str] = []
    with supervised(said) as supervisor:
        supervisor.start(part(claimed, sys.executable, "-c", "exit('error: again')", is_ready=lambda _: False))
        with pytest.raises(GaveUpError, match=r"the part ended 5 times within a minute.*error: again"):
            supervisor.watch()
    assert said == ["the part ended with exit code 1; starting it again"] * 4
