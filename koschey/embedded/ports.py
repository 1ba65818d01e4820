"""Chooses the ports of this start: the given ones, else those of the last start, else free ones."""

import errno
import random
import socket
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from koschey.embedded.data_folder import write_private
from koschey.embedded.options import UpOptions
from koschey.errors import StartError
from koschey.settings.hosts import socket_path

NAME = "ports.json"
FREE = range(20_000, 30_000)
"""Range of free ports. It is below the ports that the system gives to outgoing connections, because one of those could
occupy a port between its choice and the start of the server."""
TRIES = 200
LOOPBACK = "127.0.0.1"


class PortTakenError(StartError):
    """Raised if another process listens on the port."""


@dataclass(frozen=True, slots=True)
class Ports:
    """One port for each server."""

    web: int
    postgres: int
    s3: int
    temporal: int
    temporal_ui: int


def choose_ports(options: UpOptions, folder: Path) -> Ports:
    """Choose the ports and save them. Raises `StartError` if a port that the user has named is taken."""
    if socket_path(options.host):
        raise StartError("`koschey up` listens on a port; a unix socket is for `koschey web`, with KOSCHEY_HOST")
    last = _read(folder / NAME)
    with ExitStack() as held:  # all are held until the last is chosen, so that no two are equal

        def given(host: str, port: int, option: str) -> int:
            return _port(held.enter_context(_listen(host, port, option)))

        def preferred(name: str, host: str = LOOPBACK) -> int:
            try:
                return given(host, last[name], "")
            except (KeyError, StartError):
                return _port(held.enter_context(listen_anywhere(host)))

        def embedded(name: str, port: int | None) -> int:
            return given(LOOPBACK, port, f"--{name.replace('_', '-')}-port") if port else preferred(name)

        ports = Ports(
            web=given(options.host, options.port, "--port") if options.port else preferred("web", options.host),
            postgres=embedded("postgres", options.postgres_port),
            s3=embedded("s3", options.s3_port),
            temporal=embedded("temporal", options.temporal_port),
            temporal_ui=embedded("temporal_ui", options.temporal_ui_port),
        )
    write_private(folder / NAME, msgspec.json.encode(asdict(ports)).decode() + "\n")
    return ports


def listen_anywhere(host: str) -> socket.socket:
    """Listen on a free port. Raises `StartError` if the host is no address of ours, or no tried port is free."""
    for port in random.sample(FREE, TRIES):
        with suppress(PortTakenError):
            return _listen(host, port, "--port")
    raise StartError(f"no port of {FREE.start} to {FREE.stop} is free on {host}; choose one with --port")


def _read(path: Path) -> Mapping[str, int]:
    # The file is a convenience, not data: if anything is wrong with it, new ports will do.
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, int])
    except (OSError, msgspec.MsgspecError):
        return {}


def _listen(host: str, port: int, option: str) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((str(address[0]), port), family=family)
    except PermissionError:
        raise StartError(f"port {port} may not be opened by this user; choose another with {option}") from None
    except socket.gaierror as error:
        raise StartError(
            f"{host} is not an address to listen on: {error.strerror}; choose another with --host"
        ) from None
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise StartError(f"{host} is not an address of this machine; choose another with --host") from None
        raise PortTakenError(f"port {port} on {host} is in use; choose another with {option}") from None


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])
