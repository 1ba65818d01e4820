"""The options of `koschey up`, and where other commands find its settings."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class UpOptions:
    """The options of `koschey up`; None means that Koschey chooses."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 8080
    """0 chooses any free port, and prefers the same one at the next start."""
    upstream: str | None = None
    allow_private_upstream: bool = False
    quarantine_days: float | None = None
    web_processes: int = 1
    postgres_port: int | None = None
    s3_port: int | None = None
    temporal_port: int | None = None
    temporal_ui_port: int | None = None
    json: bool = False


def default_data_folder() -> Path:
    """Return the data folder if no option names one."""
    if chosen := os.environ.get("KOSCHEY_DATA"):
        return Path(chosen)
    if os.geteuid() == 0:
        return Path("/var/lib/koschey")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "koschey"


def settings_file(data: Path) -> Path:
    """Return the path of the file with the settings of the instance that runs on this folder, for other commands."""
    return data / "koschey.env"
