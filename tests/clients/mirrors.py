"""bandersnatch of any version: what it is told, what it says, and the mirror that it makes."""

from dataclasses import dataclass
from pathlib import Path

from tests.clients.install import Client
from tests.clients.venvs import call

CONFIGURATION = """\
[mirror]
directory = {folder}
master = {master}
allow-non-https = {plain}
json = true
timeout = 20
workers = 2
verifiers = 1
hash-index = false
stop-on-error = true
storage-backend = filesystem
compare-method = hash
"""


@dataclass(frozen=True)
class Mirror:
    """A mirror of one index, in a folder."""

    client: Client
    folder: Path
    master: str
    """The index that is mirrored, without a slash at its end."""
    certificates: Path | None = None
    """Who vouches for it, where it is https."""

    def run(self, command: str, *options: str) -> str:
        """Run bandersnatch, and return what it said; raises `CalledProcessError` where it fails."""
        self.folder.mkdir(exist_ok=True)
        configuration = self.folder / "bandersnatch.conf"
        plain = str(self.certificates is None).lower()
        configuration.write_text(CONFIGURATION.format(folder=self._out, master=self.master, plain=plain))
        environment = {"SSL_CERT_FILE": str(self.certificates)} if self.certificates else {}
        return call(self.client, "bandersnatch", "-c", str(configuration), command, *options, environment=environment)

    @property
    def paths(self) -> dict[str, Path]:
        """Where it keeps what it has by name: archives, and the metadata of wheels."""
        return {path.name: path for path in (self._out / "web" / "packages").rglob("*") if path.is_file()}

    @property
    def files(self) -> dict[str, bytes]:
        """What it has: archives by name."""
        return {name: path.read_bytes() for name, path in self.paths.items() if path.suffix != ".metadata"}

    def page_of(self, project: str) -> str:
        """Its HTML page of a project."""
        return (self._out / "web" / "simple" / project / "index.html").read_text()

    @property
    def serial(self) -> int:
        """How far it has come."""
        return int((self._out / "status").read_text())

    @property
    def _out(self) -> Path:
        return self.folder / "out"
