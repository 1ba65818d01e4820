"""What each route needs, for every kind of client, by the declarations of the routes alone (case A1)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from quart import Blueprint, Quart

from koschey.app import create_front
from koschey.auth.permissions import ROLES, Action, Role
from koschey.auth.sessions import SessionId, csrf_token, new_id
from koschey.errors import StartError
from koschey.settings import Settings
from koschey.web.access import Access, Declared, check_declared, needs, routes
from koschey.web.gate import is_open
from tests.support.app_in_process import NOBODY, AppInProcess, Who

UNUSED = "access-none"
"""A project that does not exist."""
VALUES = {"grant": "999999999", "version": "1.0", "rest": "aa/bb/cc/access_none-1.0-py3-none-any.whl"}
REFUSED = {401, 403}
FAULTS = {500, 501, 502, 503, 504, 424}
FORM = "application/x-www-form-urlencoded"
SETTINGS = Settings.model_validate({"database_url": "postgresql://localhost/none"})


def declarations() -> list[tuple[str, str, str, Declared]]:
    """Path, method and endpoint of every route, and what it declares."""
    app = create_front(SETTINGS).quart
    found = []
    for rule, method, declared in routes(app):
        assert declared is not None, rule
        path = rule.rule
        for name in rule.arguments:
            for spelled in (f"<{name}>", f"<path:{name}>"):
                path = path.replace(spelled, VALUES.get(name, UNUSED))
        found.append((path, method, rule.endpoint, declared))
    return sorted(found, key=lambda each: each[:3])


RULES = {rule.endpoint: rule.rule for rule in create_front(SETTINGS).quart.url_map.iter_rules()}
ROUTES = [pytest.param(*route, id=f"{route[1]} {route[0]}") for route in declarations()]


@dataclass(frozen=True)
class Client:
    """A client, and the actions that it may do for every project."""

    who: Who
    actions: frozenset[str]
    is_known: bool = True


@pytest.fixture(scope="module")
def clients(private: AppInProcess) -> Mapping[str, Client]:
    """Nobody, an account without a role, each role, and for each action a token of an admin with it alone."""
    every = frozenset({"read"})
    found = {
        "nobody": Client(NOBODY, frozenset(), is_known=False),
        "a wrong token": Client(Who("wrong", {"Authorization": "Bearer kos_wrong"}), frozenset(), is_known=False),
        "no role": Client(private.account(None), every),
    }
    for role in Role:
        found[role] = Client(private.account(role), every | ROLES[role])
    for action in Action:
        found[f"a token to {action}"] = Client(private.account("admin", actions=(action,)), frozenset({action}))
    return found


@pytest.fixture(scope="module")
def people(private: AppInProcess) -> Mapping[str, Client]:
    """Sessions of the panel: nobody's, that of an account without a role, and one of each role."""
    found = {
        "nobody": Client(Who("nobody", {"Cookie": f"koschey_admin={new_id()}"}), frozenset(), is_known=False),
        "no role": Client(private.person(None), frozenset({"read"})),
    }
    return found | {role: Client(private.person(role), ROLES[role]) for role in Role}


def test_every_route_has_a_declaration() -> None:
    """There are routes of each kind, and none without a declaration."""
    found = declarations()
    assert len(found) > 60
    assert {declared.needs for *_, declared in found} == {*Action, *Access}


@pytest.mark.parametrize("methods", [["GET"], ["POST", "DELETE"]])
def test_a_route_without_a_declaration_does_not_start(methods: list[str]) -> None:
    """An application with a view that declares nothing does not start, and says which it is."""
    app = Quart("x", static_folder=None)
    blueprint = Blueprint("extra", "x")

    @blueprint.route("/extra/<name>", methods=["GET"])
    @needs(Action.READ)
    async def declared(name: str) -> str:
        return name

    app.register_blueprint(blueprint)
    check_declared(app)
    app.add_url_rule("/more", "more", lambda: "", methods=methods)  # pragma: no cover - never called
    with pytest.raises(StartError, match=f"{min(methods)} /more.*declare"):
        check_declared(app)


def test_the_gate_is_open_where_the_declarations_say_so() -> None:
    """The layer in front lets through exactly what needs no right to read, or asks for itself."""
    for path, method, endpoint, declared in declarations():
        asks_itself = endpoint.startswith(("api.", "admin.", "upload."))
        assert is_open(path) is (declared.needs is not Action.READ or asks_itself), (method, path)


def allowed(client: Client, declared: Declared) -> bool:
    """Whether the client may do what the route needs."""
    match declared.needs:
        case Access.OPEN:
            return True
        case Access.LOGIN:
            return client.is_known
        case Access.OWNER:
            return Action.ADMINISTER in client.actions
        case action:
            return action in client.actions


def expected(client: Client, declared: Declared, endpoint: str) -> set[int]:
    """The statuses that the declaration allows; empty for each but 401 and 403, and those of faults."""
    if allowed(client, declared):
        return set()
    if endpoint.startswith("upload."):
        return {403}  # clients do not ask for a password during an upload
    return {403} if client.is_known else {401}


@pytest.mark.parametrize(("path", "method", "endpoint", "declared"), ROUTES)
def test_every_route_for_every_client(
    private: AppInProcess,
    clients: Mapping[str, Client],
    people: Mapping[str, Client],
    path: str,
    method: str,
    endpoint: str,
    declared: Declared,
) -> None:
    """Each client gets 401 or 403 where the declaration says so, and another answer everywhere else."""
    if endpoint.startswith("admin."):
        check_panel(private, people, path, method, declared)
        return
    for name, client in clients.items():
        answer = private.ask_all(path, method, client.who, b"{}", Content_Type="application/json")[0]
        statuses = expected(client, declared, endpoint)
        if statuses:
            assert answer.status in statuses, (name, answer)
        else:
            assert answer.status not in REFUSED | FAULTS, (name, answer)


def check_panel(
    private: AppInProcess, people: Mapping[str, Client], path: str, method: str, declared: Declared
) -> None:
    """The panel leads a visitor without a session to its login, and says 403 to one who may not do this."""
    for name, client in people.items():
        if path == "/admin/logout" and client.actions:
            continue  # the session would end; test_login has it
        cookie = SessionId(client.who.headers["Cookie"].partition("=")[2])
        body = f"csrf={csrf_token(cookie)}".encode()
        answer = private.ask_all(path, method, client.who, body, Content_Type=FORM)[0]
        enters = Action.AUDIT in client.actions
        if declared.needs is Access.OPEN:
            assert answer.status in (200, 303, 401, 404), (name, answer)
        elif not enters:
            assert (answer.status, answer.headers["location"]) == (303, "/admin/login"), (name, answer)
        elif declared.needs in client.actions:
            assert answer.status not in REFUSED | FAULTS, (name, answer)
        else:
            assert answer.status == 403, (name, answer)


OF_PROJECT = [
    pytest.param(*route, id=f"{route[1]} {route[0]}")
    for route in declarations()
    if "<project>" in RULES[route[2]] and isinstance(route[3].needs, Action) and not route[2].startswith("admin.")
]
OVERVIEWS = [pytest.param(*route, id=f"{route[1]} {route[0]}") for route in declarations() if route[3].overview]


def scoped(private: AppInProcess, declared: Declared, scope: str) -> Iterator[Who]:
    """Clients that may do what the route needs for one scope alone: by a grant, and by a token of an admin."""
    if declared.needs is not Action.READ:  # every account may read
        for role in (role for role in Role if declared.needs in ROLES[role]):
            yield private.account(role, scope)
    yield private.account("admin", actions=(str(declared.needs),), scopes=(scope,))


@pytest.mark.parametrize(("path", "method", "endpoint", "declared"), OF_PROJECT)
def test_rights_end_with_their_scope(
    private: AppInProcess, path: str, method: str, endpoint: str, declared: Declared
) -> None:
    """A grant or a token for one project or pattern allows nothing about another project."""
    assert endpoint
    for scope, may in ((UNUSED, True), ("access-*", True), ("other", False), ("acces-*", False)):
        for who in scoped(private, declared, scope):
            answer = private.ask_all(path, method, who, b"{}", Content_Type="application/json")[0]
            assert (answer.status not in REFUSED) is may, (who, scope, answer)


@pytest.mark.parametrize(("path", "method", "endpoint", "declared"), OVERVIEWS)
def test_a_token_for_some_projects_sees_no_list_of_all(
    private: AppInProcess, path: str, method: str, endpoint: str, declared: Declared
) -> None:
    """A list over all projects is refused to a token that is for some of them."""
    assert endpoint
    for scopes in (("access-*",), None):
        who = private.account("admin", actions=(str(declared.needs),), scopes=scopes)
        answer = private.ask_all(path, method, who, b"{}", Content_Type="application/json")[0]
        assert (answer.status in REFUSED) is bool(scopes), answer
