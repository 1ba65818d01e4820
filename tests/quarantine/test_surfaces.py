"""A file that is not served is on no surface: every state, every route that reads, every way to ask, everybody.

The routes come from the application itself. A new one fails the first test until `surfaces.TABLE` says how it is asked.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from koschey.app import create_front
from koschey.db.rules import upsert_rule
from koschey.model import SYSTEM
from koschey.policy.rules import RuleKind
from koschey.settings import Settings
from tests.support.app_in_process import NOBODY, AppInProcess, Who
from tests.support.archives import read_core_metadata, wheel
from tests.support.koschey_up import JSON, Answer
from tests.support.surfaces import (
    HTML,
    PAGE,
    TABLE,
    VERSIONS,
    Subject,
    Surface,
    SurfaceRequest,
    surfaces,
    upload_private,
)
from tests.support.upstream.server import UpstreamFile

READING = frozenset({"GET", "HEAD"})
XMLRPC = "xmlrpc.xmlrpc"
UPLOADERS_OWN = "s-of-the-uploader"


def publish(app: AppInProcess, project: str, *, age: timedelta = timedelta(hours=1), seen: bool = True) -> Subject:
    """Have the upstream publish a release, which is seen here and fetched."""
    file = app.upstream.add(
        project,
        next(VERSIONS),
        upload_time=app.now - age,
        requires=[f"secret-of-{project}"],
        provenance=lambda *_: b'{"version": 1, "attestation_bundles": []}',
    )
    app.refresh(project)
    if seen:
        app.store(file.filename)
    return subject_of(file)


def subject_of(file: UpstreamFile) -> Subject:
    """The upstream's file as a subject."""
    metadata = read_core_metadata(file.content) or b""
    return Subject(file.project, file.version, file.filename, file.path, file.sha256, file.content, metadata)


def released(app: AppInProcess) -> Subject:
    return publish(app, "s-released", age=timedelta(days=30))


def held(app: AppInProcess) -> Subject:
    return publish(app, "s-held")


def held_unfetched(app: AppInProcess) -> Subject:
    return publish(app, "s-unfetched", seen=False)


def blocked(app: AppInProcess) -> Subject:
    subject = publish(app, "s-blocked", age=timedelta(days=30))
    app.decide("block", subject.project, subject.version)
    return subject


def blocked_project(app: AppInProcess) -> Subject:
    subject = publish(app, "s-banned", age=timedelta(days=30))
    app.decide("block", subject.project)
    return subject


def blocked_while_held(app: AppInProcess) -> Subject:
    subject = publish(app, "s-rejected")
    app.decide("block", subject.project, subject.version)
    return subject


def unblocked(app: AppInProcess) -> Subject:
    """What was blocked and is unblocked is held."""
    subject = publish(app, "s-unblocked", age=timedelta(days=30))
    app.decide("block", subject.project, subject.version)
    app.decide("unblock", subject.project, subject.version)
    return subject


def conflict(app: AppInProcess) -> Subject:
    subject = publish(app, "s-conflict")
    app.upstream.replace(subject.filename, wheel("s-conflict", subject.version, modules={"other.py": "0"})[1])
    app.refresh(subject.project)
    assert app.file(subject.filename).standing.state == "conflict"
    return subject


def malformed(app: AppInProcess) -> Subject:
    """No door makes a fetched file malformed that PostgreSQL could not also be told."""
    subject = publish(app, "s-malformed")
    app.execute(
        "UPDATE standing SET state = 'malformed' WHERE file_id = (SELECT id FROM file WHERE filename = $1)",
        subject.filename,
    )
    app.execute("SELECT pg_notify('koschey_project', $1)", subject.project)
    app.hear_all()
    return subject


def quarantined(app: AppInProcess) -> Subject:
    subject = publish(app, "s-seized", age=timedelta(days=30))
    app.upstream.set_status(subject.project, "quarantined", "malware")
    app.refresh(subject.project)
    return subject


def removed(app: AppInProcess) -> Subject:
    subject = upload_private(app, "s-removed")
    answer = app.ask(
        f"/api/v1/projects/s-removed/files/{subject.filename}?reason=wrong", "DELETE", app.account("admin")
    )
    assert answer.status == 200, answer
    app.hear_all()
    return subject


def quarantined_here(app: AppInProcess) -> Subject:
    subject = upload_private(app, "s-closed")
    body = b'{"status": "quarantined", "reason": "stolen token"}'
    admin = app.account("admin")
    answer = app.ask("/api/v1/projects/s-closed/status", "PUT", admin, body, Content_Type="application/json")
    assert answer.status == 200, answer
    app.hear_all()
    return subject


def reserve(app: AppInProcess, pattern: str) -> None:
    """Keep names for private packages."""

    async def write() -> None:
        async with app.resources.pool.acquire() as connection, connection.transaction():
            await upsert_rule(connection, RuleKind.RESERVED, pattern, None, "ours", SYSTEM)
            await connection.execute("SELECT pg_notify('koschey_project', $1)", pattern)

    app.run(write())
    app.hear_all()


def reserved(app: AppInProcess) -> Subject:
    """What came from the upstream under a name that was reserved later."""
    subject = publish(app, "s-reserved", age=timedelta(days=30))
    reserve(app, "s-reserved-*")
    return subject


def metadata_lies(app: AppInProcess) -> Subject:
    """Core metadata beside the wheel that is not what the wheel holds."""
    version = next(VERSIONS)
    # A project of its own: a late file of a known one would be held whatever its age.
    project = f"s-liar-{version.replace('.', '-')}"
    told = app.upstream.add(project, version, upload_time=app.now - timedelta(days=30), requires=["x"])
    assert told.metadata
    file = app.upstream.promise(told.filename, told.metadata.replace(b"Requires-Dist: x\n", b""))
    app.refresh(project)
    answer = app.ask(file.path)
    assert answer.status != 200 or answer.body != file.content
    app.hear_all()
    return subject_of(file)


REFUSED: dict[str, Callable[[AppInProcess], Subject]] = {
    function.__name__: function
    for function in (
        held, held_unfetched, blocked, blocked_project, blocked_while_held, unblocked, conflict, malformed, quarantined,
        removed, quarantined_here, reserved, metadata_lies,
    )
}  # fmt: skip


@pytest.fixture(scope="module")
def everybody(app: AppInProcess) -> dict[str, Who]:
    """Who asks: nobody known, an account without rights, an uploader of another project; with a token or a session."""
    return {
        "nobody": NOBODY,
        "an account without rights": app.account(None),
        "an uploader of another project": app.account("maintainer", UPLOADERS_OWN),
        "a session without rights": app.person(None),
        "an uploader's session": app.person("maintainer", UPLOADERS_OWN),
    }


def found_in(answers: list[Answer], subject: Subject, *, lists: bool) -> list[str]:
    """What of a refused file the answers tell."""
    said = b"".join(answer.body + repr(answer.headers).encode() for answer in answers)
    secrets = dict(subject.secrets)
    if lists:
        secrets |= {"its name": subject.filename.encode(), "its version": subject.version.encode()}
    return [what for what, secret in secrets.items() if secret in said]


def asked_as(app: AppInProcess, ask: SurfaceRequest, who: Who, method: str = "") -> list[Answer]:
    """Send one request, with another method where one is named."""
    return app.ask_all(ask.path, method or ask.method, who, ask.body, **ask.headers)


def told(app: AppInProcess, surface: Surface, subject: Subject, who: Who) -> dict[tuple[str, SurfaceRequest], bool]:
    """Ask a surface in every way; fails where a refused file shows."""
    verdicts = {}
    for ask in surface.asks(subject):
        for method in ("GET", "HEAD") if ask.method == "GET" else (ask.method,):
            answers = asked_as(app, ask, who, method)
            verdicts[method, ask] = surface.tells(answers[-1], subject)
            assert answers[-1].status < 500, (ask, answers[-1])
            if method == "HEAD":
                assert not any(answer.body for answer in answers), (ask, answers)
    return verdicts


def test_every_route_is_in_the_table() -> None:
    """No route can be added without somebody saying how it is asked about a file, or why it cannot tell of one."""
    settings = Settings.model_validate({"database_url": "postgresql://localhost/none"})
    reading = {
        (rule.rule, rule.endpoint)
        for rule in create_front(settings).quart.url_map.iter_rules()
        if (rule.methods or set()) & READING or rule.endpoint == XMLRPC or rule.rule.startswith("/legacy")
    }
    assert reading - set(TABLE) == set(), "say in surfaces.TABLE what these tell of a file"
    assert set(TABLE) - reading == set(), "these routes are gone"


def test_every_surface_tells_of_a_served_file(app: AppInProcess, everybody: dict[str, Who]) -> None:
    """What is released is on every public surface, in every form: so the silence of the others means something."""
    subject = released(app)
    for rule, surface in surfaces():
        if surface.private or surface.explains:
            continue
        verdicts = told(app, surface, subject, NOBODY)
        silent = [ask for (method, ask), tells in verdicts.items() if method != "HEAD" and not tells]
        assert not silent, (rule, silent)


SHOWN = ("/api/v1/projects/<project>", "/api/v1/quarantine", "/admin/", "/admin/projects/<project>", "/admin/journal")
"""What shows to those who decide that a release is held."""


def test_panel_and_api_tell_those_who_decide(app: AppInProcess) -> None:
    """A reviewer sees a held file in the panel and in the API: so the silence for others means something."""
    subject = publish(app, "s-shown")
    reviewers = [app.account("reviewer"), app.person("reviewer")]
    for rule, surface in surfaces():
        if surface.private and rule in SHOWN:
            who = reviewers[rule.startswith("/admin")]
            said = [app.ask(ask.path, "GET", who).body for ask in surface.asks(subject)]
            assert any(subject.project.encode() in body for body in said), rule


@pytest.mark.parametrize("state", REFUSED)
def test_refused_file_is_on_no_surface(app: AppInProcess, everybody: dict[str, Who], state: str) -> None:
    """No bytes, no digest, no metadata, no name in a list, for anybody, in any way of asking; one verdict for all."""
    subject = REFUSED[state](app)
    leaks, verdicts = [], {}
    for rule, surface in surfaces():
        for name, who in everybody.items():
            for ask in surface.asks(subject):
                for method in ("GET", "HEAD") if ask.method == "GET" else (ask.method,):
                    answers = asked_as(app, ask, who, method)
                    assert answers[-1].status < 500, (rule, ask, answers[-1])
                    verdicts[rule, name, method, ask] = surface.tells(answers[-1], subject)
                    leaks += [
                        (what, rule, name, method, ask)
                        for what in found_in(answers, subject, lists=surface.lists or surface.private)
                    ]
    assert not leaks, leaks[:5]
    assert not any(verdicts.values()), [asked for asked, tells in verdicts.items() if tells][:5]
    assert len(verdicts) > 300


@pytest.mark.parametrize("state", ["released", "held", "blocked"])
def test_private_index_tells_strangers_nothing(private: AppInProcess, state: str) -> None:
    """Where reading asks for a login nobody learns what is released, and what is held looks the same: 401."""
    subject = {"released": released, **REFUSED}[state](private)
    statuses = set()
    for rule, surface in surfaces():
        for ask in surface.asks(subject):
            for method in ("GET", "HEAD") if ask.method == "GET" else (ask.method,):
                answers = asked_as(private, ask, NOBODY, method)
                assert not surface.tells(answers[-1], subject) or surface.private, (rule, ask)
                assert not found_in(answers, subject, lists=True), (rule, ask)
                statuses |= set() if surface.private else {answers[-1].status}
    assert statuses == {401}
    reader = private.account(None)
    assert private.ask(subject.path, who=reader).status == (200 if state == "released" else 403)


def test_reserved_name_that_nobody_knows_is_never_asked_for(app: AppInProcess) -> None:
    """No way of asking any surface for a reserved name makes the upstream hear of it (I6), and its page is no 404."""
    file = subject_of(app.upstream.add("s-ours-tools", next(VERSIONS)))
    reserve(app, "s-ours-*")
    app.upstream.forget_requests()
    for rule, surface in surfaces():
        for spelling in ("s-ours-tools", "S_Ours.Tools", "s--ours-tools"):
            asked = replace(file, project=spelling)
            for ask in surface.asks(asked):
                answers = asked_as(app, ask, NOBODY)
                assert not found_in(answers, file, lists=False), (rule, ask)
    assert [request.path for request in app.upstream.requests if "tools" in request.path] == []
    assert app.ask("/simple/s-ours-tools/").status in (200, 403)


ACCEPTS = tuple(
    f"{first}{weight}{rest}"
    for first in (
        JSON,
        HTML,
        "text/html",
        "*/*",
        "application/json",
        "application/*",
        "text/*;level=1",
        "image/png",
        "x",
    )
    for weight in (";q=0", ";q=0.5", "", ";Q=1.0")
    for rest in ("", f", {HTML};q=0.3")
)[:60]


def test_no_negotiation_shows_a_held_file(app: AppInProcess) -> None:
    """60 values of Accept, for every spelling of the name and of the path: no page names a held file (Q2)."""
    subject = publish(app, "s-many-words")
    assert len(set(ACCEPTS)) == 60
    statuses = set()
    for accept in ACCEPTS:
        for path in (
            *(f"/simple/{name}/" for name in ("s-many-words", "S-Many-Words", "s_many.words", "s--many--words")),
            *("/simple/s-many-words", "/simple//s-many-words/", "//simple/s-many-words/", "/simple/s-many-words//"),
            *("/simple/s-many-words/?format=application/vnd.pypi.simple.v1+json", "/simple/s-many-words/index.html"),
        ):
            for method in READING:
                answers = app.ask_all(path, method, Accept=accept)
                statuses.add(answers[-1].status)
                assert not found_in(answers, subject, lists=True), (path, accept)
    assert statuses <= {200, 404, 406}
    assert {200, 406} <= statuses


@pytest.mark.parametrize("choice", ["block", "block-project", "quarantine"])
def test_no_copy_of_a_page_is_said_to_be_right_after_a_change(app: AppInProcess, choice: str) -> None:
    """A client's copy of a page and of a file is confirmed before a block, and never after it (Q2)."""
    subject = publish(app, f"s-copied-{choice}", age=timedelta(days=30))
    paths = [
        *(ask for ask in PAGE.asks(subject)),
        SurfaceRequest(f"/pypi/{subject.project}/json"),
        SurfaceRequest(subject.path),
    ]
    tags = [asked_as(app, ask, NOBODY)[-1].headers["etag"] for ask in paths]

    def confirmed() -> list[int]:
        asked = [ask._replace(if_none_match=tag) for ask, tag in zip(paths, tags, strict=True)]
        return [asked_as(app, ask, NOBODY)[-1].status for ask in asked]

    assert set(confirmed()) == {304}
    if choice == "quarantine":
        app.upstream.set_status(subject.project, "quarantined", "malware")
        app.refresh(subject.project)
    else:
        app.decide("block", subject.project, subject.version if choice == "block" else None)
    assert 304 not in confirmed()
    assert app.page(subject.project)["files"] == []


def test_core_metadata_that_lies_blocks_the_wheel(app: AppInProcess) -> None:
    """Metadata that is not the wheel's is never served, nor is the wheel, and the journal says why (Q3)."""
    subject = metadata_lies(app)
    for path in (subject.path, f"{subject.path}.metadata"):
        assert app.ask(path).status == 403
    assert app.page(subject.project)["files"] == []
    query = "SELECT detail->>'reason' AS reason FROM journal WHERE filename = $1 AND action = 'blocked'"
    (row,) = app.fetch(query, subject.filename)
    assert "promised" in row["reason"]


def test_core_metadata_of_a_held_wheel_is_held(app: AppInProcess) -> None:
    """The metadata beside a wheel is refused like the wheel, fetched or not, and given once it is released (Q3)."""
    subject = publish(app, "s-beside")
    fetched, asked = f"{subject.path}.metadata", app.upstream.count("*.metadata")
    assert app.ask(fetched).status == 403
    assert app.upstream.count("*.metadata") == asked
    app.decide("approve", subject.project, subject.version)
    assert app.ask(fetched).body == subject.metadata
