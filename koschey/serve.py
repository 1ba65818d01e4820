"""Runs the web application in a server: granian if it is installed, else hypercorn."""

import asyncio
import importlib.util
import logging
import socket
import stat
from pathlib import Path
from typing import NamedTuple

import structlog

from koschey.concurrency.loops import has_uvloop
from koschey.db.migrate import check_database
from koschey.errors import StartError
from koschey.logs import configure_logs
from koschey.settings import Settings
from koschey.settings.hosts import in_url, socket_path
from koschey.storage.spool_folder import check_spool

log = structlog.get_logger()

FACTORY = "koschey.app:create_app"
BACKLOG = 2048
CLIENT_BUFFER = 64 * 2**10
"""Bytes that the server buffers for a client that does not read. Several times as many are on the way to the server."""
GRACE = 30
"""Seconds for which running requests may continue when the server is stopped."""
SOCKET_MODE = 0o660
"""Permissions of a unix socket: Koschey's account and its group may connect. A proxy joins the group."""
MAX_SOCKET_PATH = 107
"""Maximum bytes in the path of a unix socket (`man 7 unix`)."""


HANDED_ON = {"handlers": [], "propagate": True}
"""Configuration of a server's logger: Koschey writes its lines as JSON, in which untrusted texts do no harm."""


class ListenAddress(NamedTuple):
    """What the server listens on: an address and a port, or a unix socket."""

    address: str
    port: int
    socket: Path | None = None


def serve(settings: Settings) -> None:
    """Serve until a signal. Raises `StartError`, before the server listens, if it cannot start."""
    configure_logs(settings.log_level)
    check_spool(settings.spool)
    asyncio.run(check_database(str(settings.database_url)))
    place = find_listen_address(settings)
    has_granian = importlib.util.find_spec("granian") is not None
    log.info("the web server starts", server="granian" if has_granian else "hypercorn")
    if has_granian:
        _serve_with_granian(settings, place)
    else:
        _serve_with_hypercorn(settings, place)


def _serve_with_granian(settings: Settings, place: ListenAddress) -> None:
    from granian import Granian  # noqa: PLC0415 - an extra
    from granian.constants import HTTPModes, Interfaces, Loops  # noqa: PLC0415
    from granian.http import HTTP1Settings  # noqa: PLC0415
    from granian.log import LogLevels  # noqa: PLC0415

    Granian(
        FACTORY,
        factory=True,
        address=place.address,
        port=place.port,
        uds=place.socket,
        uds_permissions=SOCKET_MODE if place.socket else None,
        interface=Interfaces.ASGI,
        # HTTP/2 has no advantage for an index behind a proxy, and a longer list of faults.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(max_buffer_size=CLIENT_BUFFER),
        websockets=False,
        loop=Loops.uvloop if has_uvloop() else Loops.asyncio,
        workers=settings.web_processes,
        backlog=BACKLOG,
        respawn_failed_workers=True,
        workers_kill_timeout=GRACE,
        log_level=LogLevels.warning,
        log_dictconfig={"loggers": dict.fromkeys(("_granian", "granian.access"), HANDED_ON)},
    ).serve()


def _serve_with_hypercorn(settings: Settings, place: ListenAddress) -> None:
    from hypercorn.config import Config  # noqa: PLC0415 - only where it is used
    from hypercorn.run import run  # noqa: PLC0415

    config = Config()
    config.application_path = f"{FACTORY}()"
    config.bind = [f"unix:{place.socket}" if place.socket else f"{in_url(place.address)}:{place.port}"]
    config.umask = 0o777 & ~SOCKET_MODE
    config.worker_class = "uvloop" if has_uvloop() else "asyncio"
    config.workers = settings.web_processes
    config.backlog = BACKLOG
    config.graceful_timeout = GRACE
    config.include_server_header = False
    config.errorlog = logging.getLogger("hypercorn.error")
    config.alpn_protocols = ["http/1.1"]
    run(config)


def find_listen_address(settings: Settings) -> ListenAddress:
    """Return a place to listen on that is free. Raises `StartError` if it is not."""
    path = socket_path(settings.host)
    if path is not None:
        _clear_socket(path)
        return ListenAddress("", 0, path)
    try:
        # Servers accept only addresses, and a name may have several: Koschey uses the first, as clients do.
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise _cannot_listen(settings, error, "choose another KOSCHEY_HOST") from None
    family, address = found[0], str(found[4][0])
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, settings.port))
        except OSError as error:
            raise _cannot_listen(settings, error, "choose another KOSCHEY_PORT") from None
    return ListenAddress(address, settings.port)


def _cannot_listen(settings: Settings, error: OSError, advice: str) -> StartError:
    reason = error.strerror or str(error)
    return StartError(f"cannot listen on {settings.host} port {settings.port}: {reason}; {advice}")


def _clear_socket(path: Path) -> None:
    """Remove the socket that a killed process left. Raises `StartError` if Koschey cannot use the path."""
    if len(bytes(path)) > MAX_SOCKET_PATH:
        raise StartError(f"the path of the unix socket {path} is longer than {MAX_SOCKET_PATH} bytes; choose another")
    if not path.parent.is_dir():
        raise StartError(f"the folder of the unix socket {path} does not exist; make it, or choose another")
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise StartError(f"{path} is a file and no unix socket; choose another path in KOSCHEY_HOST")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        except OSError as error:
            raise StartError(f"cannot listen on the unix socket {path}: {error.strerror}; choose another") from None
        else:
            raise StartError(f"another process listens on the unix socket {path}; end it, or choose another")
