"""The Temporal server with its UI. Its history is in one SQLite file."""

from pathlib import Path

from koschey.embedded.child import Child, Part
from koschey.embedded.data_folder import private_folder
from koschey.embedded.environment import bare_environment
from koschey.embedded.ports import LOOPBACK
from koschey.embedded.probe import http_status

SEARCH_ATTRIBUTES = {
    "KoscheyProject": "Keyword",
    "KoscheyVersion": "Keyword",
    "KoscheyState": "Keyword",
    "KoscheyReleaseAt": "Datetime",
}
"""Search attributes of workflows. The server accepts them only when it creates its file, at the first start."""


PRAGMAS = {"journal_mode": "wal", "synchronous": "full"}
"""Pragmas of SQLite. They are as durable as the defaults, and a write takes a fraction of the time: 275 signals a
second instead of 43. While calls to one workflow are pending, Temporal begins none of its tasks, so slow writes would
delay its decisions."""
LIMITS = {
    "history.maximumBufferedEventsBatch": 20_000,
    "history.maximumBufferedEventsSizeInBytes": 32 * 2**20,
    "history.maximumSignalsPerExecution": 40_000,
}
"""Temporal's dynamic configuration. By default a workflow's task fails if more than 100 signals arrive while it runs,
and so does the next one; after 10,000 signals to one run, Temporal refuses more. A flood would stop the workflow's
decisions."""


def temporal_part(folder: Path, program: Path, port: int, ui_port: int) -> Part:
    """Describe the Temporal server."""
    attributes = [f"--search-attribute={name}={kind}" for name, kind in SEARCH_ATTRIBUTES.items()]

    def is_ready(_: Child) -> bool:
        # The UI sends the request to the server: this succeeds only if both of them work.
        return http_status(LOOPBACK, ui_port, "/api/v1/namespaces/default") == 200

    return Part(
        name="temporal",
        title="Temporal",
        command=(
            str(program),
            "server",
            "start-dev",
            f"--db-filename={private_folder(folder / 'temporal') / 'temporal.db'}",
            f"--ip={LOOPBACK}",
            f"--port={port}",
            f"--ui-port={ui_port}",
            "--ui-disable-news-fetch",
            "--log-level=error",
            "--disable-config-file",
            "--disable-config-env",  # the user's, for other servers
            *attributes,
            *(f"--dynamic-config-value={key}={value}" for key, value in LIMITS.items()),
            *(f"--sqlite-pragma={key}={value}" for key, value in PRAGMAS.items()),
        ),
        environment=bare_environment(folder),
        folder=folder,
        log=folder / "logs" / "temporal.log",
        is_ready=is_ready,
        grace=8,
    )
