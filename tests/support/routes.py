"""The routes of an index inside the test's process, and their paths with a given value for each variable."""

import re

from tests.support.app_in_process import AppInProcess


def rules(app: AppInProcess) -> list[str]:
    """Every route of the application that accepts GET."""
    found = (rule for rule in app.front.quart.url_map.iter_rules() if "GET" in (rule.methods or set()))
    return sorted({rule.rule for rule in found})


def filled(rule: str, segment: str) -> str:
    """The path of a route, with this segment instead of each variable."""
    return re.sub("<[^>]+>", lambda _: segment, rule)
