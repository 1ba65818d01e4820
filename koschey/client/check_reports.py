"""Renders the result of a check in the formats that CI reads: JUnit XML and SARIF 2.1.0."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

from koschey.client.checks import PinResult
from koschey.policy.availability import Availability

NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 forbids. A reason may contain them."""
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
RULES = {
    Availability.HELD: ("warning", "The release is in quarantine."),
    Availability.CONFLICT: ("error", "The upstream changed the bytes of the release."),
    Availability.MALFORMED: ("error", "The release is malformed."),
    Availability.BLOCKED: ("error", "The release is blocked."),
    Availability.REMOVED: ("error", "The release was removed."),
    Availability.OTHER_BYTES: ("error", "The index has other bytes than the lock."),
    Availability.MISSING: ("error", "The index has no such release."),
    Availability.UNKNOWN: ("error", "It cannot be determined whether the release is served."),
}
"""The SARIF level of each state, and its meaning."""


def render_junit(checked: Sequence[PinResult]) -> str:
    """Render a test suite with one case per pin. A pin that is not served is a failure."""
    counts = {"tests": str(len(checked)), "failures": str(sum(not each.is_served for each in checked)), "errors": "0"}
    suites = ET.Element("testsuites", counts)
    suite = ET.SubElement(suites, "testsuite", {"name": "koschey check", "skipped": "0", "time": "0", **counts})
    for each in checked:
        name = f"{each.explanation.project}=={each.explanation.version}"
        attributes = {"name": name, "classname": each.place.file.as_posix(), "time": "0"}
        case = ET.SubElement(suite, "testcase", {key: _clean(value) for key, value in attributes.items()})
        if not each.is_served:
            failure = ET.SubElement(case, "failure", {"type": each.explanation.state, "message": _clean(each.message)})
            failure.text = _clean(f"{each.place.file}:{each.place.line}: {each.message}")
    ET.indent(suites)
    return ET.tostring(suites, "unicode", xml_declaration=True) + "\n"


def render_sarif(checked: Sequence[PinResult], version: str) -> str:
    """Render one run with a result, at its line, for each pin that is not served."""
    found = [each for each in checked if not each.is_served]
    states = list(RULES)
    driver = {
        "name": "koschey",
        "version": version,
        "rules": [
            {
                "id": _rule_id(state),
                "shortDescription": {"text": text},
                "defaultConfiguration": {"level": level},
            }
            for state, (level, text) in RULES.items()
        ],
    }
    results = [_result(each, states.index(each.explanation.state)) for each in found]
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}
    return json.dumps(log, indent=2) + "\n"


def _result(each: PinResult, rule: int) -> dict[str, Any]:
    state = each.explanation.state
    return {
        "ruleId": _rule_id(state),
        "ruleIndex": rule,
        "level": RULES[state][0],
        "message": {"text": each.message},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(each.place.file)},
                    "region": {"startLine": each.place.line},
                }
            }
        ],
    }


def _rule_id(state: Availability) -> str:
    return f"koschey/{state.replace(' ', '-')}"


def _uri(path: Path) -> str:
    """Return the URI of a file as SARIF names it: relative to the root of the checkout, where checks run."""
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())


def _clean(text: str) -> str:
    return NO_XML.sub(" ", text)
