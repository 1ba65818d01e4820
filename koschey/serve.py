"""Puts the web application behind a server: granian where it is installed, else hypercorn."""

import asyncio
import importlib.util
import socket

from koschey.db.migrate import check_database
from koschey.errors import StartError
from koschey.settings import Settings

FACTORY = "koschey.app:create_app"
BACKLOG = 2048
GRACE = 30
"""Seconds that running requests get when the server is stopped."""


def serve(settings: Settings) -> None:
    """Serve until a signal. Raises `StartError` before anything listens."""
    asyncio.run(check_database(str(settings.database_url)))
    _check_port(settings)
    if importlib.util.find_spec("granian"):
        _serve_with_granian(settings)
    else:
        _serve_with_hypercorn(settings)


def _serve_with_granian(settings: Settings) -> None:
    from granian import Granian  # noqa: PLC0415 - an extra
    from granian.constants import HTTPModes, Interfaces  # noqa: PLC0415
    from granian.log import LogLevels  # noqa: PLC0415

    Granian(
        FACTORY,
        factory=True,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        # HTTP/2 buys an index nothing behind a proxy and has a longer list of faults.
        http=HTTPModes.http1,
        websockets=False,
        workers=settings.web_processes,
        backlog=BACKLOG,
        respawn_failed_workers=True,
        workers_kill_timeout=GRACE,
        log_level=LogLevels.warning,
    ).serve()


def _serve_with_hypercorn(settings: Settings) -> None:
    from hypercorn.config import Config  # noqa: PLC0415 - only where it is used
    from hypercorn.run import run  # noqa: PLC0415

    config = Config()
    config.application_path = f"{FACTORY}()"
    config.bind = [f"{_in_url(settings.host)}:{settings.port}"]
    config.workers = settings.web_processes
    config.backlog = BACKLOG
    config.graceful_timeout = GRACE
    config.include_server_header = False
    config.alpn_protocols = ["http/1.1"]
    run(config)


def _check_port(settings: Settings) -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            reason = error.strerror or str(error)
            raise StartError(
                f"cannot listen on {settings.host} port {settings.port}: {reason}; choose another KOSCHEY_PORT"
            ) from None


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
