"""A real nginx with TLS in front of an index that is reached under a path, as docs/containers.md sets it up.

One nginx has two servers for the same index: one takes the path away before it asks the index, one passes it on.
"""

import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.clients.tls import HOST, certify
from tests.support.bound_processes import bound
from tests.support.koschey_up import wait_until
from tests.support.split_processes import free_port

PATH = "/pypi"
"""The path of the public address: also the beginning of routes of the index, so the hardest one."""
CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    ssl_certificate {chain};
    ssl_certificate_key {key};
    client_max_body_size 0;
    proxy_request_buffering off;
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header Forwarded "";
{servers}
}}
"""
SERVER = """
    server {{
        listen 127.0.0.1:{port} ssl;
        location {path}/ {{ proxy_pass {target}; }}
    }}
"""


class Nginx:
    """Listens with TLS on a port for each kind of proxy."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        # Its workers run under an account of their own where it is started as root.
        folder.chmod(0o755)
        self._folder = folder
        self.certificates = folder / "authority.pem"
        self._pair = certify(folder, self.certificates)
        self.ports = {"strips": free_port(), "passes": free_port()}
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, kind: str) -> str:
        """The public address by one of the two, without a slash at its end."""
        return f"https://{HOST}:{self.ports[kind]}{PATH}"

    def start(self, backend: str) -> None:
        """Serve what `backend` answers: `http://127.0.0.1:80` or `http://unix:/path:`."""
        targets: Mapping[str, str] = {"strips": f"{backend}/", "passes": backend.removesuffix(":")}
        servers = [SERVER.format(port=self.ports[kind], path=PATH, target=targets[kind]) for kind in targets]
        chain, key = self._pair
        configuration = self._folder / "nginx.conf"
        text = CONFIGURATION.format(folder=self._folder, chain=chain, key=key, servers="".join(servers))
        configuration.write_text(text)
        program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        assert program, "this test needs nginx: apt-get install nginx"
        command = [program, "-c", str(configuration), "-e", str(self._folder / "error.log")]
        self._process = subprocess.Popen(bound(command, signal.SIGTERM))  # it stops its workers
        wait_until((self._folder / "nginx.pid").exists)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
