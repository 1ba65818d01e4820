"""Tasks without an end begin again after every fault, or their process ends: none dies alone."""

import asyncio
import random
from collections.abc import Callable

import pytest

from koschey.concurrency import supervision
from koschey.concurrency.supervision import Background, supervise
from koschey.errors import TaskFailed


class Outage(Exception):
    """A server is away."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin again at once."""
    monkeypatch.setattr(supervision, "FIRST_WAIT", 0.0)


def is_outage(error: Exception) -> bool:
    return isinstance(error, Outage)


class Job:
    """A job without an end that ends all the same, as often as it is told to; then it goes on."""

    def __init__(self, end: Callable[[], None], times: int) -> None:
        self.begun = 0
        self.goes_on = asyncio.Event()
        self._end = end
        self._times = times

    async def __call__(self) -> None:
        self.begun += 1
        if self.begun <= self._times:
            self._end()
            return
        self.goes_on.set()
        await asyncio.Event().wait()


def fail() -> None:
    raise ValueError("a mistake")


def lose() -> None:
    raise Outage("no answer")


@pytest.mark.parametrize(
    ("end", "times"), [(fail, supervision.ATTEMPTS - 1), (lambda: None, supervision.ATTEMPTS - 1), (lose, 1000)]
)
async def test_a_task_begins_again(end: Callable[[], None], times: int) -> None:
    """After a fault, after a return and after every outage, however many there are, the task goes on."""
    job = Job(end, times)
    task = asyncio.create_task(supervise("a test", job, is_outage))
    await asyncio.wait_for(job.goes_on.wait(), 20)
    assert job.begun == times + 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("end", [fail, lambda: None])
async def test_a_task_gives_up(end: Callable[[], None]) -> None:
    """Faults without an end end the task, and the error names the task and the last fault."""
    job = Job(end, supervision.ATTEMPTS)
    with pytest.raises(TaskFailed, match=f"a test failed {supervision.ATTEMPTS} times in a row, last with a"):
        await supervise("a test", job, is_outage)
    assert job.begun == supervision.ATTEMPTS


async def test_faults_of_long_ago_are_forgiven(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that worked for a while has all its attempts again."""
    monkeypatch.setattr(supervision, "STEADY", 0.0)
    job = Job(fail, 3 * supervision.ATTEMPTS)
    task = asyncio.create_task(supervise("a test", job, is_outage))
    await asyncio.wait_for(job.goes_on.wait(), 20)
    task.cancel()


async def test_waits_grow_and_stay_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lasting outage costs little, and work goes on soon after its end."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(supervision, "FIRST_WAIT", 0.5)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(random, "uniform", lambda *bounds: max(bounds))
    job = Job(lose, 6)
    task = asyncio.create_task(supervise("a test", job, is_outage))
    await asyncio.wait_for(job.goes_on.wait(), 20)
    assert waits == [0.5, 1, 2, 4, 5, 5]
    task.cancel()


async def test_the_owner_hears_of_the_first_failure() -> None:
    """The owner is called once, with what failed; the end of the block cancels the others and calls nobody."""
    failures: list[TaskFailed] = []
    heard = asyncio.Event()

    def hear(failure: TaskFailed) -> None:
        failures.append(failure)
        heard.set()

    steady = Job(fail, 0)
    async with Background(hear) as tasks:
        tasks.start("the steady one", steady, is_outage)
        for name in ("the first", "the second"):
            tasks.start(name, Job(fail, supervision.ATTEMPTS), is_outage)
        await asyncio.wait_for(heard.wait(), 20)
        await asyncio.sleep(0)
    assert [str(failure).partition(" failed")[0] for failure in failures] == ["the first"]
    assert steady.begun == 1
