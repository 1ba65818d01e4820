"""Whether this process can serve, for load balancers and supervisors."""

from quart import Blueprint, Response

from koschey.db.projects import select_now
from koschey.web.context import resources

blueprint = Blueprint("health", __name__)


@blueprint.get("/_/health")
async def health() -> Response:
    """200 while PostgreSQL answers; Temporal is not needed to serve."""
    await select_now(resources().pool)
    return Response('{"status": "ok"}', 200, {"Content-Type": "application/json", "Cache-Control": "no-store"})
