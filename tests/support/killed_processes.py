"""Processes that do one step after another on the same database and bucket, and are killed during one of them.

They are forked from a server that has imported everything, because the import takes longer than a hundred steps.
"""

import asyncio
import multiprocessing
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from packaging.utils import NormalizedName
from pydantic import PostgresDsn

from koschey.db import files
from koschey.errors import KoscheyError
from koschey.model import Actor, FileId
from koschey.quarantine.decide import Choice, Decision, decide
from koschey.quarantine.settle import settle
from koschey.resources import Resources, open_resources
from koschey.settings import Settings
from tests.support.chosen_check import Oracle, checker

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["koschey.resources", "koschey.quarantine.decide", "koschey.quarantine.checking"])
PATIENCE = 30.0
"""Seconds without a message after which a process counts as broken."""


@dataclass(frozen=True)
class Order:
    """One step: its kind, its release, and the choice that it needs."""

    step: str
    project: NormalizedName
    version: str
    choice: str = ""
    """For `check` the answer, for `decide` the decision."""
    actor: Actor | None = None
    files: tuple[FileId, ...] = ()
    """The files for `store`."""


class KillableProcess:
    """The current process. It is started when it is first needed, and again after each death."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: Any = None
        self._ready = False
        self.deaths = 0

    @property
    def name(self) -> str:
        """The application name of the current process's sessions in PostgreSQL."""
        return f"mortal-{self.deaths}"

    def die_in(self, order: Order, seconds: float) -> list[str]:
        """Begin a step, and kill the process so many seconds later; return the filenames that the check received."""
        if self._process is None:
            self.start()
        if not self._ready:
            assert self._hear() == "ready"
            self._ready = True
        self._pipe.send(order)
        time.sleep(seconds)
        self._process.kill()
        asked = []
        with suppress(EOFError, ConnectionResetError):
            while (heard := self._hear()) != "done":
                asked.append(heard)
        self.close()
        return asked

    def start(self) -> None:
        """Start a process, and return at once."""
        self.deaths += 1
        url = f"{self._settings.database_url}?application_name={self.name}"
        settings = self._settings.model_copy(update={"database_url": PostgresDsn(url)})
        self._pipe, theirs = SERVER.Pipe()
        self._process = SERVER.Process(target=live, args=(settings, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def close(self) -> None:
        """Kill the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process, self._ready = None, False

    def _hear(self) -> str:
        assert self._pipe.poll(PATIENCE), "the process says nothing"
        return str(self._pipe.recv())


def live(settings: Settings, pipe: Connection) -> None:
    """Carry out orders, until killed."""
    asyncio.run(_live(settings, pipe))


async def _live(settings: Settings, pipe: Connection) -> None:
    oracle = Oracle(tell=pipe.send)
    async with open_resources(settings) as resources:
        pipe.send("ready")
        while True:
            order = await asyncio.to_thread(pipe.recv)
            try:
                await _carry_out(resources, oracle, order)
            except KoscheyError as error:
                # The test that gave the order reads its result from the rows.
                del error
            pipe.send("done")


async def _carry_out(resources: Resources, oracle: Oracle, order: Order) -> None:
    match order.step:
        case "look":
            await resources.refresher.refresh(order.project)
        case "store":
            for file in order.files:
                item = await files.select_file(resources.pool, file)
                assert item is not None
                await resources.files.store(item.file)
        case "check":
            oracle.answer = order.choice
            await checker(resources, oracle).check(order.project, order.version, [oracle.name])
        case "settle":
            async with resources.pool.acquire() as connection:
                await settle(connection, order.project, order.version, resources.settings.window, resources.feed)
        case "decide":
            assert order.actor is not None
            decision = Decision(Choice(order.choice), order.project, order.version, "a test")
            async with resources.pool.acquire() as connection:
                await decide(connection, order.actor, decision)
