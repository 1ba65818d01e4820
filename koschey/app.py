"""The web process: Quart with all blueprints, behind the layer that answers cached pages."""

from contextlib import AsyncExitStack

from quart import Quart

from koschey import admin
from koschey.logs import configure_logs
from koschey.resources import open_resources
from koschey.settings import Settings, load_settings
from koschey.web import api, errors, feeds, files, health, held, home, integrity, project_json, simple, upload, xmlrpc
from koschey.web.context import KEY
from koschey.web.fast import FastPages
from koschey.web.gate import ReadGate
from koschey.web.proxies import BehindProxies

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


def create_app(settings: Settings | None = None) -> FastPages | ReadGate | BehindProxies:
    """Return the ASGI application. Its resources open when the server starts it."""
    settings = settings or load_settings()
    front = create_front(settings)
    gate = front if settings.anonymous_reading else ReadGate(front, lambda: front.quart.extensions[KEY].logins)
    return BehindProxies(gate, settings.proxy_networks) if settings.proxy_networks else gate


def create_front(settings: Settings) -> FastPages:
    """Return the application as it is for those who may read."""
    configure_logs(settings.log_level)
    app = Quart("koschey", static_folder=None)
    # For forms; uploads are read as a stream under limits of their own.
    app.config.update(MAX_CONTENT_LENGTH=2**20, BODY_TIMEOUT=15, PROVIDE_AUTOMATIC_OPTIONS=False)
    # Merging would redirect to whatever host the request claims to be for.
    app.url_map.merge_slashes = False
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    errors.register(app)
    front, stack = FastPages(app), AsyncExitStack()

    @app.before_serving
    async def open_all() -> None:
        resources = await stack.enter_async_context(open_resources(settings))
        app.extensions[KEY] = resources
        front.pages = resources.pages

    @app.after_serving
    async def close_all() -> None:
        await stack.aclose()

    return front
