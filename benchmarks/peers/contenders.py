"""The indexes that are compared: what each installs, how it is started with its own defaults, and where its pages are.

What differs from the defaults is what loopback needs, and what makes an index serve a file itself instead of sending
the client to the upstream.
"""

import base64
import http.client
import json
import signal
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from benchmarks.peers.environments import ROOT
from benchmarks.peers.http1 import address
from benchmarks.peers.processes import answers, bare_environment, run, running


@dataclass(frozen=True)
class Place:
    """Where a contender runs."""

    bin: Path
    """The programs of its virtual environment."""
    data: Path
    """An empty folder of its own."""
    port: int
    upstream: str
    """The root URL of the upstream."""
    tree: Path
    """The upstream's files."""

    @property
    def url(self) -> str:
        """The root URL of the contender."""
        return f"http://127.0.0.1:{self.port}"


PASSWORD = "benchmark"
"""Of devpi-server's root, whose right it is to add a mirror."""


class Contender(ABC):
    """An index. Its requirements are installed into an environment of its own, in the newest versions."""

    name: str
    """As on the command line, and the distribution whose version is stated."""
    requirements: tuple[str, ...] = ()
    index = "/simple/"
    """The path of the Simple API."""
    mirrors = True
    """Whether it fetches projects from the upstream; otherwise it has their files from the start."""
    stop = signal.SIGTERM

    @property
    def distribution(self) -> str:
        """The distribution whose version is stated."""
        return self.name

    @abstractmethod
    def command(self, place: Place) -> Sequence[str]:
        """Return the command that serves."""

    def environment(self, place: Place) -> Mapping[str, str]:
        """Return variables that configure it."""
        _ = place
        return {}

    def prepare(self, place: Place) -> None:  # noqa: B027 - most need nothing
        """Do what must be done before it is started."""

    def configure(self, place: Place) -> None:  # noqa: B027 - most need nothing
        """Do what must be done once it answers."""

    def readiness(self, place: Place) -> Callable[[], bool]:
        """Return what answers whether it is ready."""
        return partial(answers, place.url + "/")

    @contextmanager
    def serving(self, place: Place) -> Iterator[psutil.Process]:
        """Run it until the end of the block."""
        place.data.mkdir(mode=0o711)
        self.prepare(place)
        variables = {"PATH": f"{place.bin}:/usr/local/bin:/usr/bin:/bin", **self.environment(place)}
        log = place.data.with_suffix(".log")
        ready = self.readiness(place)
        with running(self.command(place), bare_environment(variables), log, ready, self.stop) as process:
            self.configure(place)
            yield process


class Koschey(Contender):
    """This working tree, as `koschey up` starts it, under granian."""

    name = "koschey"
    without: tuple[str, ...] = ()
    stop = signal.SIGINT

    @property
    def distribution(self) -> str:
        return "koschey"

    @property
    def requirements(self) -> tuple[str, ...]:  # type: ignore[override]
        """The package itself and all that `koschey up` starts, except what this column does without."""
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        wanted = [each for each in [*extras["embedded"], *extras["fast"]] if not each.startswith("koschey")]
        return ("--editable", str(ROOT), *(each for each in wanted if not each.startswith(self.without or ("\0",))))

    def command(self, place: Place) -> Sequence[str]:
        return (
            *(
                str(place.bin / "koschey"),
                "up",
                "--json",
                "--port",
                str(place.port),
                "--data",
                str(place.data / "data"),
            ),
            *("--upstream", f"{place.upstream}/simple/", "--allow-private-upstream"),
        )

    def readiness(self, place: Place) -> Callable[[], bool]:
        # It says so in its first line, once the worker runs too.
        log = place.data.with_suffix(".log")
        return lambda: b'"index_url"' in log.read_bytes()


class KoscheyHypercorn(Koschey):
    """The same in an environment without granian."""

    name = "koschey-hypercorn"
    without = ("granian",)


class Pypiron(Contender):
    """On disk, its default. Its feed of advisories is on the internet, and therefore off."""

    name = "pypiron"
    requirements = ("pypiron",)

    def command(self, place: Place) -> Sequence[str]:
        return (
            *(str(place.bin / "pypiron"), "serve", "--bind-addr", f"127.0.0.1:{place.port}"),
            *("--data-dir", str(place.data / "packages"), "--spool-dir", str(place.data)),
            *("--proxy-upstream", place.upstream, "--allow-insecure-upstream", "--proxy-allow-host", "127.0.0.1"),
            *("--advisory-feed", "", "--malware-block", "false"),
        )

    def readiness(self, place: Place) -> Callable[[], bool]:
        return partial(answers, f"{place.url}/ready")


class Devpi(Contender):
    """devpi-server with a mirror of the upstream, on SQLite and files, its default; without an nginx before it."""

    name = "devpi-server"
    requirements = ("devpi-server",)
    user = "root"
    """The account that devpi-init makes; its indexes are below its name."""
    mirror = f"/{user}/mirror"
    index = f"{mirror}/+simple/"

    def prepare(self, place: Place) -> None:
        run(
            [
                str(place.bin / "devpi-init"),
                "--serverdir",
                str(place.data / "server"),
                "--no-root-pypi",
                "--root-passwd",
                PASSWORD,
            ]
        )

    def command(self, place: Place) -> Sequence[str]:
        server = str(place.data / "server")
        return (
            str(place.bin / "devpi-server"),
            "--serverdir",
            server,
            "--host",
            "127.0.0.1",
            "--port",
            str(place.port),
        )

    def readiness(self, place: Place) -> Callable[[], bool]:
        return partial(answers, f"{place.url}/+api")

    def configure(self, place: Place) -> None:
        token = self._send(place, "POST", "/+login", {"user": self.user, "password": PASSWORD})["result"]["password"]
        authorization = base64.b64encode(f"{self.user}:{token}".encode()).decode()
        index = {"type": "mirror", "mirror_url": f"{place.upstream}/simple/", "volatile": True}
        self._send(place, "PUT", self.mirror, index, **{"X-Devpi-Auth": authorization})

    @staticmethod
    def _send(place: Place, method: str, path: str, content: object, **headers: str) -> dict[str, dict[str, str]]:
        connection = http.client.HTTPConnection(*address(place.url), timeout=60)
        given = {"Content-Type": "application/json", "Accept": "application/json", **headers}
        connection.request(method, path, json.dumps(content), given)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        if response.status != 200:
            raise RuntimeError(f"devpi-server answered {response.status} to {method} {path}: {body[:500]!r}")
        found: dict[str, dict[str, str]] = json.loads(body)
        return found


class Proxpi(Contender):
    """proxpi under gunicorn, as its image starts it; it waits for a file instead of redirecting after 0.9 seconds."""

    name = "proxpi"
    requirements = ("proxpi", "gunicorn")
    index = "/index/"

    def command(self, place: Place) -> Sequence[str]:
        options = ("--preload", "--threads", "2", "--bind", f"127.0.0.1:{place.port}", "proxpi.server:app")
        return (str(place.bin / "gunicorn"), *options)

    def environment(self, place: Place) -> Mapping[str, str]:
        return {
            "PROXPI_INDEX_URL": f"{place.upstream}/simple/",
            "PROXPI_CACHE_DIR": str(place.data),
            "PROXPI_DOWNLOAD_TIMEOUT": "60",
        }

    def readiness(self, place: Place) -> Callable[[], bool]:
        return partial(answers, f"{place.url}/health")


class SimpleRepositoryServer(Contender):
    """It keeps nothing; it streams files itself instead of redirecting to the upstream."""

    name = "simple-repository-server"
    requirements = ("simple-repository-server",)

    def command(self, place: Place) -> Sequence[str]:
        options = ("--host", "127.0.0.1", "--port", str(place.port), "--stream-http-resources")
        return (str(place.bin / "simple-repository-server"), *options, f"{place.upstream}/simple/")

    def readiness(self, place: Place) -> Callable[[], bool]:
        return partial(answers, f"{place.url}/simple/page/")


class Pypiserver(Contender):
    """It does not mirror: it has the upstream's files in its folder, and no rows about what is new to an index."""

    name = "pypiserver"
    requirements = ("pypiserver[cache]", "waitress")  # the first server that it looks for
    mirrors = False

    def command(self, place: Place) -> Sequence[str]:
        options = ("--interface", "127.0.0.1", "--port", str(place.port), "--disable-fallback", "-a", ".", "-P", ".")
        return (str(place.bin / "pypi-server"), "run", *options, str(place.data))

    def prepare(self, place: Place) -> None:
        # All files in one folder: it also watches every folder below its own.
        for wheel in place.tree.glob("packages/*/*/*/*.whl"):
            (place.data / wheel.name).symlink_to(wheel)


CONTENDERS: tuple[Contender, ...] = (
    Koschey(),
    KoscheyHypercorn(),
    Pypiron(),
    Devpi(),
    Proxpi(),
    SimpleRepositoryServer(),
    Pypiserver(),
)
