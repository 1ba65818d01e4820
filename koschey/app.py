"""The web application: Quart with all blueprints, behind the layers that handle a request before Quart does."""

from contextlib import AsyncExitStack
from typing import Any, ClassVar, NoReturn

import structlog
from quart import Quart, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from koschey import admin
from koschey.concurrency.loops import running_loop
from koschey.logs import configure_logs
from koschey.parent_process import end_with_parent
from koschey.quarantine.requests import requester_name
from koschey.resources import open_resources
from koschey.settings import Settings, load_settings
from koschey.texts import on_page
from koschey.upstream.turns import CLIENT
from koschey.web import (
    api,
    conditional,
    errors,
    feeds,
    files,
    health,
    held,
    home,
    integrity,
    project_json,
    simple,
    upload,
    xmlrpc,
)
from koschey.web.access import check_declared
from koschey.web.context import KEY
from koschey.web.edge import Edge
from koschey.web.fast import FastLayer
from koschey.web.fast_files import FastFiles
from koschey.web.fast_provenance import FastProvenance
from koschey.web.gate import ReadGate
from koschey.web.memory import fix_limit_of_mapped_blocks
from koschey.web.misdirected import OwnHosts
from koschey.web.mount import Mount
from koschey.web.proxies import BehindProxies
from koschey.web.redirects import without_host

log = structlog.get_logger()

BLUEPRINTS = (
    home.blueprint,
    simple.blueprint,
    files.blueprint,
    held.blueprint,
    integrity.blueprint,
    project_json.blueprint,
    feeds.blueprint,
    xmlrpc.blueprint,
    upload.blueprint,
    health.blueprint,
    api.blueprint,
    admin.blueprint,
)


class Application(Quart):
    """Quart with redirects that name no host, and templates that write cleaned texts."""

    jinja_options: ClassVar[dict[str, Any]] = {"finalize": on_page}  # type: ignore[misc]

    def raise_routing_exception(self, request: Any) -> NoReturn:
        """Redirect a path that lacks its slash, without a host: the router would use the one that the client claims."""
        error = request.routing_exception
        if isinstance(error, RequestRedirect):
            raise HTTPException(response=without_host(error.new_url, error.code))
        raise error


def create_app(settings: Settings | None = None) -> Edge | BehindProxies:
    """Return the ASGI application. Its resources open when the server starts it."""
    fix_limit_of_mapped_blocks()
    settings = settings or load_settings()
    front = create_front(settings)
    gate = front if settings.anonymous_reading else ReadGate(front, lambda: front.quart.extensions[KEY])
    hosts = OwnHosts(settings.own_hosts, settings.public_url)
    edge = Edge(gate, hosts, Mount(settings.addresses.prefix, front.quart.url_map))
    if not settings.proxy_networks and not settings.proxy_at_socket:
        return edge
    return BehindProxies(edge, settings.proxy_networks, behind_socket=settings.proxy_at_socket)


def create_front(settings: Settings) -> FastLayer:
    """Return the application as clients that may read see it."""
    configure_logs(settings.log_level)
    app = Application("koschey", static_folder=None)
    # These limits are for forms. Uploads are read as a stream, with other limits.
    app.config.update(MAX_CONTENT_LENGTH=2**20, BODY_TIMEOUT=15, PROVIDE_AUTOMATIC_OPTIONS=False)
    # `//` is not another spelling of `/`: such paths are not found.
    app.url_map.merge_slashes = False
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    check_declared(app)
    errors.register(app)
    conditional.register(app)
    front, stack = FastLayer(app, settings.addresses.prefix), AsyncExitStack()

    @app.before_request
    async def note_client() -> None:
        CLIENT.set(requester_name(None, request.remote_addr))

    @app.before_serving
    async def open_all() -> None:
        end_with_parent()
        resources = await stack.enter_async_context(open_resources(settings))
        app.extensions[KEY] = resources
        front.pages, front.files = resources.pages, FastFiles(resources)
        front.provenance = FastProvenance(resources)
        log.info("this web process is ready", loop=running_loop())

    @app.after_serving
    async def close_all() -> None:
        await stack.aclose()

    return front
