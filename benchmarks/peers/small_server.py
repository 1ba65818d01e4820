"""Serves the upstream's tree where nginx is not installed. Slower than nginx, so what comes after it looks faster.

python -m benchmarks.peers.small_server PORT TREE
"""

import sys
from pathlib import Path

from aiohttp import web

JSON = "application/vnd.pypi.simple.v1+json"


def main() -> None:
    """Serve until a signal."""
    port, tree = int(sys.argv[1]), Path(sys.argv[2]).resolve()

    async def answer(request: web.Request) -> web.StreamResponse:
        json = JSON in request.headers.get("Accept", "")
        path = (tree / request.path.lstrip("/")).resolve()
        if request.path.endswith("/"):
            path /= "index.json" if json else "index.html"
        if path.is_dir() and not request.path.endswith("/"):
            raise web.HTTPMovedPermanently(f"{request.path}/")
        if not path.is_relative_to(tree) or not path.is_file():
            raise web.HTTPNotFound
        kinds = {".json": JSON, ".html": "text/html"}
        headers = {"Content-Type": kinds.get(path.suffix, "application/octet-stream"), "Vary": "Accept"}
        return web.FileResponse(path, headers=headers)

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    web.run_app(application, host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    main()
