"""The front page, for a person who opens the index in a browser."""

from html import escape

from quart import Blueprint, Response

from koschey import __version__, addresses
from koschey.auth.permissions import Action
from koschey.web.access import needs
from koschey.web.context import resources

blueprint = Blueprint("home", __name__)

PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Koschey</title></head>
<body>
<h1>Koschey {version}</h1>
<p>A Python package index. Point your clients at it:</p>
<pre>pip install --index-url {index} NAME
uv pip install --index-url {index} NAME</pre>
<p>Uploads go to <code>{uploads}</code>. New public releases are held for {days:g} days, or until a reviewer
releases them.</p>
<p><a href="{projects}">All projects</a> · <a href="{admin}">Admin</a></p>
</body>
</html>
"""


@blueprint.get("/")
@needs(Action.READ)
async def home() -> Response:
    """Show what this index is and how clients use it."""
    own_addresses = resources().addresses
    body = PAGE.format(
        version=__version__,
        index=escape(own_addresses.absolute(addresses.PROJECT_LIST)),
        uploads=escape(own_addresses.absolute(addresses.UPLOADS)),
        projects=own_addresses.here(addresses.PROJECT_LIST),
        admin=own_addresses.here(addresses.ADMIN),
        days=resources().settings.quarantine_days,
    )
    return Response(
        body,
        200,
        {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
        },
    )
