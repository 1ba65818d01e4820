"""The S3 server: rclone over a folder."""

from pathlib import Path

from koschey.embedded.child import Child, Part
from koschey.embedded.data_folder import private_folder
from koschey.embedded.environment import BUCKET, bare_environment
from koschey.embedded.ports import LOOPBACK
from koschey.embedded.probe import http_status
from koschey.embedded.secret_file import Secrets


def s3_part(folder: Path, program: Path, port: int, secrets: Secrets) -> Part:
    """Create the folder, and describe the server over it."""
    served = private_folder(folder / "s3")
    private_folder(served / BUCKET)

    def is_ready(_: Child) -> bool:
        # The server refuses every request without a signature: any answer means that it serves.
        return http_status(LOOPBACK, port, "/") is not None

    return Part(
        name="s3",
        title="S3",
        command=(
            str(program),
            "serve",
            "s3",
            str(served),
            f"--addr={LOOPBACK}:{port}",
            "--config=",  # no file, in particular not the user's
            "--vfs-cache-mode=off",
            # Otherwise it lists for minutes objects that somebody has removed from the folder.
            "--dir-cache-time=1s",
            # Otherwise it reads 16 MiB ahead for every client, even for those that read nothing.
            "--buffer-size=0",
            # Otherwise it reads and hashes a whole object for the ETag of each answer. Koschey compares SHA-256 itself.
            "--etag-hash=",
            "--log-level=NOTICE",
        ),
        # The value is a line of CSV; the quotes keep key and secret in one field.
        environment=bare_environment(folder, {"RCLONE_AUTH_KEY": f'"{secrets.s3_access_key},{secrets.s3_secret_key}"'}),
        folder=folder,
        log=folder / "logs" / "s3.log",
        is_ready=is_ready,
        grace=5,
    )
