"""Serves the upstream's tree: nginx if it is installed, else a small server of our own, which says so in its name."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from benchmarks.peers.environments import ROOT
from benchmarks.peers.processes import answers, bare_environment, free_port, run, running

NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
CONFIGURATION = """
{user}
daemon off;
worker_processes auto;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000000;
    keepalive_timeout 300;
    open_file_cache max=10000 inactive=300s;
    gzip_static on;
    default_type application/octet-stream;
    types {{
        text/html html;
        application/vnd.pypi.simple.v1+json json;
    }}
    map $http_accept $form {{
        default index.html;
        "~application/vnd\\.pypi\\.simple\\.v1\\+json" index.json;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        root {tree};
        location ~ /$ {{
            add_header Vary Accept;
            try_files $uri$form =404;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Upstream:
    """The running upstream. It is the first column too: no index can be faster than the server that it mirrors."""

    url: str
    """The root, without a slash at the end."""
    title: str
    process: psutil.Process


@contextmanager
def serving(tree: Path, folder: Path) -> Iterator[Upstream]:
    """Serve the tree on loopback until the end of the block."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    folder.mkdir()
    if NGINX:
        configuration = folder / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""  # its workers read a tree in the user's own folder
        configuration.write_text(CONFIGURATION.format(user=user, folder=folder, port=port, tree=tree))
        command = [NGINX, "-c", str(configuration), "-e", str(folder / "error.log")]
        title = f"nginx {_nginx_version()}"
    else:
        command = [sys.executable, "-m", "benchmarks.peers.small_server", str(port), str(tree)]
        title = "small server (nginx is not installed)"
    environment = bare_environment({"PYTHONPATH": str(ROOT)})
    ready = partial(answers, f"{url}/simple/")
    with running(command, environment, folder / "log", ready, signal.SIGTERM) as process:
        yield Upstream(url, title, process)


def _nginx_version() -> str:
    assert NGINX is not None
    return run(["sh", "-c", '"$0" -v 2>&1', NGINX]).rpartition("/")[2].strip()
