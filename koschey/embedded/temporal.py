"""The Temporal server with its UI, its history in one SQLite file."""

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
"""What workflows can be searched by. The server takes these in only when it makes its file, at the first start."""


PRAGMAS = {"journal_mode": "wal", "synchronous": "full"}
"""Of SQLite: as durable as its default, and a write takes a fraction of the time (275 signals a second instead of 43).
While calls wait for one workflow, Temporal begins none of its tasks, so slow writes keep it from deciding."""
LIMITS = {
    "history.maximumBufferedEventsBatch": 20_000,
    "history.maximumBufferedEventsSizeInBytes": 32 * 2**20,
    "history.maximumSignalsPerExecution": 40_000,
}
"""Dynamic configuration. By default a workflow's task fails when more than 100 signals come while it runs, and so does
the next one; after 10,000 signals to one run Temporal refuses more. A flood would keep the workflow from deciding."""


def temporal_part(folder: Path, program: Path, port: int, ui_port: int) -> Part:
    """Describe the server."""
    attributes = [f"--search-attribute={name}={kind}" for name, kind in SEARCH_ATTRIBUTES.items()]

    def is_ready(_: Child) -> bool:
        # The UI asks the server: this answers once both of them work.
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
