"""Gives handlers the resources of their process, such as the connections that it keeps open."""

from typing import cast

from quart import current_app

from koschey.resources import Resources

KEY = "koschey_resources"


def resources() -> Resources:
    """Return the resources of the process that serves the current request."""
    return cast(Resources, current_app.extensions[KEY])
