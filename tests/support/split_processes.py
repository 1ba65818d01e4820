"""A Koschey whose parts a test starts and stops one by one: for long outages, and for hosts with a wrong clock.

`koschey up` restarts a part as soon as it dies. These are the same parts, on the same leash, but nothing restarts them.
"""

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from koschey.auth.bootstrap import ensure_accounts
from koschey.embedded.binaries import find_binaries
from koschey.embedded.child import Child, Part, stop_all
from koschey.embedded.data_folder import private_folder
from koschey.embedded.own_parts import web_part, worker_part
from koschey.embedded.ports import listen_anywhere
from koschey.embedded.secret_file import Secrets
from koschey.embedded.temporal import temporal_part
from koschey.settings import Settings
from tests.support.app_in_process import Store
from tests.support.koschey_up import Koschey
from tests.support.postgres import MIGRATED, Postgres, wait_until_ready
from tests.support.upstream.server import Upstream

type Environment = Mapping[str, str]
"""Variables for one process."""

NUMBERS = itertools.count()
USUAL: Environment = {}


class SplitProcesses(Koschey):
    """An index without `koschey up`. The first web process answers its requests."""

    def __init__(self, folder: Path, variables: Environment, secrets: Secrets) -> None:
        self.data = folder
        self.base_url = None
        self.ready = {"upload_token": secrets.upload_token}
        self._variables = dict(variables)
        self._children: dict[str, Child] = {}
        port = free_port()
        self._temporal = temporal_part(folder, find_binaries().temporal, port, free_port())
        self._variables["KOSCHEY_TEMPORAL_ADDRESS"] = f"127.0.0.1:{port}"

    @property
    def settings(self) -> dict[str, str]:
        """The settings under which its parts run."""
        return self._variables

    @property
    def url(self) -> str:
        """The root of the first web process, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def index_url(self) -> str:
        """The URL for pip and uv."""
        return f"{self.url}/simple/"

    def start_temporal(self) -> None:
        """Start Temporal, with its former history."""
        self._start("temporal", self._temporal)

    def start_web(self, name: str = "web", environment: Environment = USUAL) -> str:
        """Start a web process, and return its root URL. The first one becomes the index's own."""
        port = free_port()
        self._variables.setdefault("KOSCHEY_PORT", str(port))
        values = self._variables | {"KOSCHEY_PORT": str(port), **self._disk_of(name)} | dict(environment)
        settings = Settings.model_validate({"database_url": values["KOSCHEY_DATABASE_URL"], "port": port})
        self._start(name, web_part(self.data, values, settings))
        return f"http://127.0.0.1:{port}"

    def start_worker(self, name: str = "worker", environment: Environment = USUAL) -> int:
        """Start a worker and return its process id."""
        self._start(name, worker_part(self.data, self._variables | self._disk_of(name) | dict(environment)))
        return self.pid_of(name)

    def _disk_of(self, name: str) -> dict[str, str]:
        """Where a process keeps copies of files: each is a host of its own."""
        return {"KOSCHEY_CACHE_DIR": str(self.data / "caches" / name)}

    def pid_of(self, name: str) -> int:
        """The process id of a part."""
        return self._children[name].pid

    def stop_part(self, name: str) -> None:
        """Stop a part, as an operator does."""
        stop_all([self._children.pop(name)])

    def kill_part(self, name: str) -> None:
        """Kill a part and all its descendants with SIGKILL."""
        self._children.pop(name).finish()

    def stop(self) -> None:
        """Stop everything."""
        while self._children:
            self.stop_part(next(reversed(self._children)))

    def __enter__(self) -> Self:
        return self

    def log_of(self, name: str) -> str:
        """The whole log of a part."""
        return (self.data / "logs" / f"{name}.log").read_text()

    def _start(self, name: str, part: Part) -> None:
        child = Child(replace(part, log=self.data / "logs" / f"{name}.log"))
        self._children[name] = child
        wait_until_ready(child)


@contextmanager
def split_processes(
    folder: Path, postgres: Postgres, s3: Store, upstream: Upstream, variables: Environment = USUAL
) -> Iterator[SplitProcesses]:
    """An index with a database and a bucket, and no running process yet."""
    home = folder / f"apart-{next(NUMBERS)}"
    private_folder(private_folder(home) / "logs")
    secrets = Secrets()
    with asyncio.Runner() as runner:
        database = runner.run(postgres.create(MIGRATED))
        url = postgres.url(database)
        runner.run(ensure_accounts(url, admin_password=secrets.admin_password, upload_token=secrets.upload_token))
        values = {
            "KOSCHEY_DATABASE_URL": url,
            "KOSCHEY_UPSTREAM": upstream.url,
            "KOSCHEY_ALLOW_PRIVATE_UPSTREAM": "true",
            **{f"KOSCHEY_{name.upper()}": value for name, value in s3.items()},
        }
        try:
            with SplitProcesses(home, values | dict(variables), secrets) as running:
                yield running
        finally:
            runner.run(postgres.drop(database))


def skewed(days: int) -> Environment:
    """Variables with which a process sees a time that differs by so many days from that of all others.

    Clocks that measure spans are unchanged, as on a host whose clock is wrong. So are the times of files, by which
    Python decides whether to compile a module again.
    """
    found = find_spec("libfaketime")
    assert found is not None
    assert found.origin is not None
    library = Path(found.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
    left_alone = {"DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
    return {"LD_PRELOAD": str(library), "FAKETIME": f"{days:+}d"} | left_alone


def free_port() -> int:
    """A port on which nobody listens."""
    with listen_anywhere("127.0.0.1") as listener:
        return int(listener.getsockname()[1])
