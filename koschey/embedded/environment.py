"""The environment of the children, and the file in which other commands find the same settings."""

import os
import re
from collections.abc import Mapping
from importlib.util import cache_from_source
from pathlib import Path

import koschey
from koschey.embedded.data_folder import write_private
from koschey.embedded.options import UpOptions, settings_file
from koschey.embedded.ports import LOOPBACK, Ports
from koschey.embedded.secret_file import Secrets
from koschey.errors import StartError
from koschey.settings import NOT_SETTINGS, PREFIX, Settings, load_settings

BUCKET = "koschey"
DATABASE = "koschey"
ROLE = "koschey"

OURS = re.compile(PREFIX + "(DATABASE_URL|S3_.*|TEMPORAL_.*)")
"""Settings that say where PostgreSQL, S3 and Temporal are. Here `koschey up` sets them."""

PASSED_ON = ("PATH", "HOME", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
"""The only variables of the user's that PostgreSQL, S3 and Temporal see; others may configure other instances."""

FOLDER_MARK = "FOLDER_OF_KOSCHEY_UP"
"""The variable that marks a process as part of a data folder, whatever became of its `koschey up`."""


def folder_mark(folder: Path) -> str:
    """Return an id of this folder that differs from those of its copies and of folders in other containers."""
    entry = folder.stat()
    return f"{entry.st_dev}:{entry.st_ino}"


def settle_settings(
    options: UpOptions, secrets: Secrets, ports: Ports, folder: Path
) -> tuple[Settings, dict[str, str]]:
    """Write the settings file; return the settings, parsed and as variables for our own children.

    Raises `StartError` before anything is started if an option or a variable of the user is invalid.
    """
    user = {name: value for name, value in os.environ.items() if name.startswith(PREFIX) and name not in NOT_SETTINGS}
    if foreign := sorted(name for name in user if OURS.fullmatch(name)):
        raise StartError(
            f"{foreign[0]} is set, but `koschey up` starts its own; unset it, or run `koschey web` and `koschey worker`"
        )
    given = _of_this_start(options, secrets, ports, folder)
    values = user | given
    path = settings_file(folder)
    write_private(path, "".join(f"{name}={_quoted(value)}\n" for name, value in sorted(values.items())))
    for name in given:  # from here on, an option replaces the variable of the same name
        os.environ.pop(name, None)
    return load_settings(file=path), values


def bare_environment(folder: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a part that is not our own program."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return passed | {FOLDER_MARK: folder_mark(folder)} | dict(extra or {})


def own_environment(folder: Path, values: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of web, worker and migrate: the user's, with our settings instead of the user's."""
    # A proxy that the user has for the internet must not receive requests to this machine.
    direct = ",".join(filter(None, [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), LOOPBACK]))
    own = {"no_proxy": direct, "NO_PROXY": direct, FOLDER_MARK: folder_mark(folder)} | dict(values)
    if not Path(cache_from_source(koschey.__file__)).exists():
        # The installation cannot or must not keep compiled modules. Without them, each start takes twice as long.
        own["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
        own["PYTHONDONTWRITEBYTECODE"] = ""
    return dict(os.environ) | own


def _of_this_start(options: UpOptions, secrets: Secrets, ports: Ports, folder: Path) -> dict[str, str]:
    values = {
        "DATABASE_URL": f"postgresql://{ROLE}:{secrets.postgres}@{LOOPBACK}:{ports.postgres}/{DATABASE}",
        "S3_ENDPOINT": f"http://{LOOPBACK}:{ports.s3}",
        "S3_BUCKET": BUCKET,
        "S3_ACCESS_KEY": secrets.s3_access_key,
        "S3_SECRET_KEY": secrets.s3_secret_key,
        "TEMPORAL_ADDRESS": f"{LOOPBACK}:{ports.temporal}",
        "HOST": options.host,
        "PORT": str(ports.web),
        "WEB_PROCESSES": str(options.web_processes),
    }
    if "KOSCHEY_SPOOL" not in os.environ:
        # Beside the bucket: the system's temporary folder is often in memory, and a file may have ten gigabytes.
        values["SPOOL"] = str(folder / "spool")
    if options.upstream is not None:
        values["UPSTREAM"] = options.upstream
    if options.allow_private_upstream:
        values["ALLOW_PRIVATE_UPSTREAM"] = "true"
    if options.quarantine_days is not None:
        values["QUARANTINE_DAYS"] = str(options.quarantine_days)
    return {PREFIX + name: value for name, value in values.items()}


def _quoted(value: str) -> str:
    """Return a value, quoted as python-dotenv reads it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
