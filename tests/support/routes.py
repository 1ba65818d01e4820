"""The routes of an index inside the test's process, each with what a test puts into its variables."""

import re

from tests.support.app_in_process import Inside


def rules(inside: Inside) -> list[str]:
    """Every route that reads, as the application has it."""
    found = (rule for rule in inside.front.quart.url_map.iter_rules() if "GET" in (rule.methods or set()))
    return sorted({rule.rule for rule in found})


def filled(rule: str, segment: str) -> str:
    """A path of the route with this in the place of each of its variables."""
    return re.sub("<[^>]+>", lambda _: segment, rule)
