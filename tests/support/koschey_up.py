"""A real `koschey up` as a child process, and the requests that tests send to it."""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit
from urllib.request import Request, urlopen

import asyncpg
from dotenv import dotenv_values

from tests.support.bound_processes import bound

JSON = "application/vnd.pypi.simple.v1+json"
ADDRESSES = itertools.count()


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def ask(url: str, *, method: str = "GET", timeout: float = 60, **headers: str) -> Answer:
    """Send one request; every status is an answer. An underscore in a header's name means a hyphen."""
    request = Request(url, method=method, headers={key.replace("_", "-"): value for key, value in headers.items()})
    try:
        with urlopen(request, timeout=timeout) as response:
            return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, response.read())
    except HTTPError as error:
        with error:
            return Answer(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())


def new_address() -> str:
    """A loopback address that no other client of this process has, because failed logins count by address."""
    number = next(ADDRESSES)
    return f"127.{os.getpid() % 200 + 2}.{number // 250}.{number % 250 + 1}"


def wait_until(what: Callable[[], Any], *, timeout: float = 60) -> Any:
    """Call `what` until its answer is true; return that. Fails with the last answer.

    The default is for a machine under load. If the time itself is the promise, a test passes it.
    """
    deadline = time.monotonic() + timeout
    while not (answer := what()):
        assert time.monotonic() < deadline, f"never became true, last answer: {answer!r}"
        time.sleep(0.05)
    return answer


class Koschey:
    """`koschey up --json`, started as a user starts it."""

    def __init__(
        self,
        data: Path,
        upstream: str,
        *,
        web_processes: int = 1,
        days: float = 7,
        freshness: float = 600,
        trust_root: Path | None = None,
        anonymous: bool = True,
        base_url: str | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.data = data
        self.base_url = base_url
        self._command = [
            *(sys.executable, "-m", "koschey", "up", "--json", "--port", "0", "--data", str(data)),
            *("--upstream", upstream, "--allow-private-upstream", "--quarantine-days", str(days)),
            *("--web-processes", str(web_processes)),
        ]
        self._variables = {"KOSCHEY_PAGE_FRESHNESS": str(freshness), "KOSCHEY_ANONYMOUS_READING": str(anonymous)}
        self._variables |= variables or {}
        if trust_root is not None:
            self._variables["KOSCHEY_SIGSTORE_TRUST_ROOT"] = str(trust_root)
        if base_url is not None:
            self._variables["KOSCHEY_BASE_URL"] = base_url
            # Tests also send requests around its proxy.
            self._variables.setdefault("KOSCHEY_HOSTS", "127.0.0.1")
        self.ready: dict[str, Any] = {}
        self.process: subprocess.Popen[bytes]

    def start(self) -> Self:
        """Start it, and wait until it reports that it is ready."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("KOSCHEY_")}
        environment |= self._variables
        self.process = subprocess.Popen(
            bound(self._command, signal.SIGTERM),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(30)
            raise AssertionError(self.process.stderr.read().decode())
        self._drain(self.process.stderr)
        self.ready = json.loads(line)
        return self

    def stop(self) -> None:
        """Stop it, as Ctrl-C does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    @staticmethod
    def _drain(pipe: Any) -> None:
        def read() -> None:
            try:
                while pipe.read(4096):
                    pass
            except ValueError:
                return

        threading.Thread(target=read, daemon=True).start()

    @property
    def index_url(self) -> str:
        """The URL for pip and uv; behind a proxy, the URL to which the proxy connects."""
        return str(self.ready["index_url"]) if self.base_url is None else f"http://127.0.0.1:{self.port}/simple/"

    @property
    def url(self) -> str:
        """The root URL, without a slash at the end."""
        return self.index_url.removesuffix("/simple/")

    @property
    def port(self) -> int:
        """The port that its web processes listen on."""
        return int(self.settings["KOSCHEY_PORT"])

    @property
    def settings(self) -> dict[str, str]:
        """The settings under which its parts run."""
        return {name: value or "" for name, value in dotenv_values(self.data / "koschey.env").items()}

    def page(self, project: str) -> Any:
        """A project's page, parsed. Its links are paths on this host, as clients resolve them."""
        url = f"{self.index_url}{project}/"
        answer = ask(url, Accept=JSON)
        assert answer.status == 200, answer
        page = answer.json
        for file in page["files"]:
            file["url"] = urlsplit(urljoin(url, file["url"])).path
        return page

    def filenames(self, project: str) -> list[str]:
        """The files that the page lists."""
        return [file["filename"] for file in self.page(project)["files"]]

    def path_of(self, filename: str) -> str:
        """The public path of a file, whatever its state."""
        path = self.fetch_value("SELECT path FROM file WHERE filename = $1", filename)
        assert path, f"{filename} is not known"
        return str(path)

    def state_of(self, filename: str) -> str | None:
        """The state of a file."""
        query = "SELECT state FROM standing JOIN file ON file.id = file_id WHERE filename = $1"
        state: str | None = self.fetch_value(query, filename)
        return state

    def is_stored(self, filename: str) -> bool:
        """Whether the file's bytes are in the bucket."""
        return bool(self.fetch_value("SELECT stored_at IS NOT NULL FROM file WHERE filename = $1", filename))

    def errors_of(self, part: str) -> str:
        """The errors in a part's log, for the message of a failed assertion."""
        lines = (self.data / "logs" / f"{part}.log").read_text().splitlines()
        return "\n".join(line for line in lines if '"level": "error"' in line or "ERROR" in line)[-8000:]

    def fetch_value(self, query: str, *values: object) -> Any:
        """Query its database for one value."""

        async def run() -> Any:
            connection = await asyncpg.connect(self.settings["KOSCHEY_DATABASE_URL"])
            try:
                return await connection.fetchval(query, *values)
            finally:
                await connection.close()

        with asyncio.Runner() as runner:
            return runner.run(run())

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run another `koschey` command against it."""
        done = subprocess.run(
            [sys.executable, "-m", "koschey", *command, "--data", str(self.data)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done
