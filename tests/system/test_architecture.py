"""What keeps the code as it is meant to be, checked by walking through it."""

import ast
from pathlib import Path

import pytest

from koschey.app import BLUEPRINTS, create_front
from koschey.settings import Settings
from koschey.worker.wiring import WORKFLOWS, wire_activities

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("koschey", "workflows", "activities") for path in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
LONGEST_MODULE = 350
LONGEST_TEST_FILE = 500
LONGEST_FUNCTION = 45

PUBLIC = {
    ("/", "home.home"): "names no file",
    ("/simple/", "simple.project_list"): "page",
    ("/simple", "simple.project_list_without_slash"): "redirect",
    ("/simple/<project>/", "simple.project_detail"): "page",
    ("/simple/<project>", "simple.project_detail_without_slash"): "redirect",
    ("/legacy/+simple/<project>/", "simple.uploaded_project"): "page",
    ("/packages/<path:rest>", "files.package"): "file",
    ("/held/<project>/", "held.project"): "page",
    ("/held/<project>/<version>/", "held.release"): "page",
    ("/held/<release>/<state>/<ask>/<path:filename>", "held.file"): "page",
    ("/integrity/<project>/<version>/<filename>/provenance", "integrity.provenance"): "file",
    ("/pypi/<project>/json", "project_json.project_json"): "page",
    ("/pypi/<project>/json/", "project_json.project_json"): "page",
    ("/pypi/<project>/<version>/json", "project_json.release_json"): "page",
    ("/pypi/<project>/<version>/json/", "project_json.release_json"): "page",
    ("/rss/packages.xml", "feeds.newest_projects"): "page",
    ("/rss/updates.xml", "feeds.newest_releases"): "page",
    ("/rss/project/<project>/releases.xml", "feeds.project_releases"): "page",
    ("/stats/", "feeds.statistics"): "names no file",
    ("/stats", "feeds.statistics_without_slash"): "redirect",
    ("/pypi", "xmlrpc.xmlrpc"): "page",
    ("/pypi/", "xmlrpc.xmlrpc"): "page",
    ("/RPC2", "xmlrpc.xmlrpc"): "page",
    ("/legacy/", "upload.legacy"): "write",
    ("/legacy", "upload.legacy"): "write",
    ("/_/live", "health.live"): "names no file",
    ("/_/ready", "health.ready"): "names no file",
    ("/_/health", "health.health"): "names no file",
    ("/api/v1/projects/<project>", "api.read_project"): "account",
    ("/api/v1/projects/<project>", "api.remove_project"): "account",
    ("/api/v1/projects/<project>/status", "api.put_status"): "account",
    ("/api/v1/projects/<project>/claim", "api.claim_name"): "account",
    ("/api/v1/projects/<project>/release-name", "api.release_private_name"): "account",
    ("/api/v1/projects/<project>/releases/<version>", "api.remove_release"): "account",
    ("/api/v1/projects/<project>/releases/<version>/yank", "api.yank_release"): "account",
    ("/api/v1/projects/<project>/releases/<version>/yank", "api.unyank_release"): "account",
    ("/api/v1/projects/<project>/files/<filename>", "api.remove_file"): "account",
    ("/api/v1/projects/<project>/files/<filename>/yank", "api.yank_file"): "account",
    ("/api/v1/projects/<project>/files/<filename>/yank", "api.unyank_file"): "account",
    ("/api/v1/projects/<project>/downloads", "api.read_downloads"): "account",
    ("/api/v1/quarantine", "api.read_quarantine"): "account",
    ("/api/v1/alerts", "api.read_alerts"): "account",
    ("/api/v1/proposals", "api.read_proposals"): "account",
    ("/api/v1/exceptions", "api.read_exceptions"): "account",
    ("/api/v1/preflight", "api.check_lock"): "file",
    ("/api/v1/requests", "api.request_release"): "write",
    ("/api/v1/requests", "api.read_requests"): "account",
    ("/api/v1/journal", "api.read_journal"): "account",
    ("/api/v1/decisions", "api.make_decision"): "account",
    ("/api/v1/codes", "api.make_code"): "account",
    ("/api/v1/policy", "api.read_policy"): "account",
    ("/api/v1/policy", "api.put_policy"): "account",
    ("/api/v1/policy/rules", "api.put_rule"): "account",
    ("/api/v1/policy/rules", "api.lift_rule"): "account",
    ("/api/v1/account", "api.read_own_account"): "account",
    ("/api/v1/accounts", "api.add_account"): "account",
    ("/api/v1/accounts", "api.read_accounts"): "account",
    ("/api/v1/accounts/<account>", "api.read_account"): "account",
    ("/api/v1/accounts/<account>/disable", "api.disable_account"): "account",
    ("/api/v1/accounts/<account>/enable", "api.enable_account"): "account",
    ("/api/v1/accounts/<account>/groups", "api.put_groups"): "account",
    ("/api/v1/accounts/<account>/password", "api.put_password"): "account",
    ("/api/v1/grants", "api.add_grant"): "account",
    ("/api/v1/grants", "api.read_grants"): "account",
    ("/api/v1/grants/<grant>", "api.remove_grant"): "account",
    ("/api/v1/tokens", "api.add_token"): "account",
    ("/api/v1/tokens", "api.read_tokens"): "account",
    ("/api/v1/tokens/<token>", "api.revoke_token"): "account",
    ("/api/v1/openapi.json", "api.openapi"): "names no file",
}
"""Every route for machines and what it could give away; `tests/system/test_quarantine.py` covers each page and file."""


def relative(path: Path) -> str:
    """A path as the README would write it."""
    return str(path.relative_to(ROOT))


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions of a module."""
    tree = ast.parse(path.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_module_is_short_and_states_its_responsibility(path: Path) -> None:
    """A module begins with a docstring, is no longer than five screens, and has no function longer than one."""
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "the first lines state the responsibility"
    assert len(text.splitlines()) <= LONGEST_MODULE
    for function in functions(path):
        assert (function.end_lineno or 0) - function.lineno < LONGEST_FUNCTION, function.name


def test_no_test_file_is_long() -> None:
    """No file of tests, nor of what supports them, is longer than 500 lines."""
    lengths = {relative(path): len(path.read_text().splitlines()) for path in (ROOT / "tests").rglob("*.py")}
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST_TEST_FILE} == {}


@pytest.mark.parametrize("path", TESTS, ids=relative)
def test_every_test_states_what_must_hold(path: Path) -> None:
    """Each test has a docstring of at least one sentence."""
    for function in functions(path):
        if function.name.startswith("test_"):
            assert (ast.get_docstring(function) or "").rstrip().endswith("."), function.name


def test_every_public_route_is_known() -> None:
    """No route can be added without somebody saying what it could give away."""
    settings = Settings.model_validate({"database_url": "postgresql://localhost/none"})
    rules = create_front(settings).quart.url_map.iter_rules()
    found = {(rule.rule, rule.endpoint) for rule in rules if not rule.endpoint.startswith("admin.")}
    assert found == set(PUBLIC)
    assert {blueprint.name for blueprint in BLUEPRINTS} >= {endpoint.partition(".")[0] for _, endpoint in PUBLIC}


def test_activity_names_are_unique() -> None:
    """All activities share one space of names."""
    names = [node.name for path in (ROOT / "activities").glob("*.py") for node in functions(path) if _is_activity(node)]
    assert len(names) == len(set(names))
    assert wire_activities.__doc__
    assert len({workflow.__name__ for workflow in WORKFLOWS}) == len(WORKFLOWS)


def _is_activity(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("activity.defn" in ast.unparse(decorator) for decorator in node.decorator_list)
