"""A client of the management API: one method that calls it, and accounts of every role to call it as."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

import asyncpg

from koschey.auth.bootstrap import ADMIN
from koschey.auth.tokens import digest_secret, new_token, parse_token
from koschey.db.accounts import insert_grant
from koschey.web.api.accounts import NewAccount, NewGroups, NewPassword
from koschey.web.api.codes import NewCode
from koschey.web.api.grants import NewGrant
from koschey.web.api.operations import Operation
from koschey.web.api.policy_types import LiftedRule, NewPolicy, NewRule
from koschey.web.api.requests import NewPreflight, NewRequest
from koschey.web.api.tokens import NewToken, TokensQuery
from koschey.web.api.types import NewClaim, NewDecision, NewStatus, Why
from tests.support.archives import wheel
from tests.support.koschey_up import Answer, Koschey
from tests.support.uploads import MULTIPART, encoded, form

API = "/api/v1"
NOBODY = ""
"""A value for `token`: send no credentials at all."""
BODIES: dict[type, dict[str, object]] = {
    Why: {"reason": "why"},
    NewPolicy: {"rules": [], "reason": "why", "dry_run": True},
    NewRule: {"kind": "withdrawn", "scope": "api-none", "value": 30, "reason": "why"},
    NewClaim: {"reason": "why"},
    NewStatus: {"status": "active", "reason": "why"},
    NewPreflight: {"pins": [{"name": "api-none", "version": "1.0"}]},
    NewRequest: {"project": "api-none", "version": "1.0", "reason": "why"},
    NewCode: {"choice": "approve", "releases": [{"project": "api-none", "version": "1.0"}]},
    NewDecision: {"choice": "approve", "project": "api-none", "version": "1.0", "reason": "why"},
    NewAccount: {"name": "api-none"},
    NewPassword: {"password": "a long enough password"},
    NewGroups: {"groups": []},
    NewToken: {"name": "a test", "actions": ["upload"], "account": "api-none"},
    NewGrant: {"role": "reader", "account": "api-none", "reason": "why"},
}
QUERIES: dict[type, dict[str, object]] = {
    Why: {"reason": "why"},
    LiftedRule: {"kind": "trusted", "scope": "api-none", "reason": "why"},
    TokensQuery: {"account": "api-none"},
}
NO_GRANT = "999999999"
"""An id that no grant has."""


@dataclass
class Api:
    """A client of a running index's API."""

    koschey: Koschey
    _tokens: dict[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def admin(self) -> str:
        """A token of the account `admin`, which has every right."""
        key = ("of", ADMIN)
        if key not in self._tokens:
            self._tokens[key] = new_token()
            asyncio.run(self._add_token(self._tokens[key], ADMIN))
        return self._tokens[key]

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        query: Mapping[str, object] | None = None,
        raw: bytes | None = None,
        **headers: str,
    ) -> Answer:
        """Send one request, with the admin's token if none is given."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token != NOBODY:
            sent.setdefault("Authorization", f"Bearer {token or self.admin}")
        content = json.dumps(body).encode() if body is not None else raw
        if content is not None:
            sent.setdefault("Content-Type", "application/json")
        url = f"{path if path.startswith('/') else f'{API}/{path}'}{'?' + urlencode(query) if query else ''}"
        connection = HTTPConnection(urlsplit(self.koschey.url).netloc, timeout=60)
        try:
            # The index refuses a body that is too large before it has read all of it; its answer arrives nevertheless.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, url, content, sent)
            response = connection.getresponse()
            found: dict[str, str] = {}
            for name, value in response.headers.items():
                found[name.lower()] = ", ".join(filter(None, [found.get(name.lower()), value]))
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def run(self, operation: Operation, project: str = "api-none", **changes: Any) -> Answer:
        """Call an operation as it is documented, except for the changes. Accounts and tokens are named as projects."""
        path = operation.rule.replace("<project>", project).replace("<version>", "1.0").replace("<grant>", NO_GRANT)
        path = path.replace("<account>", project).replace("<token>", project)
        path = path.replace("<filename>", f"{project.replace('-', '_')}-1.0-py3-none-any.whl")
        given: dict[str, Any] = {}
        if operation.reads_body:
            about: dict[type, dict[str, object]] = {
                NewDecision: {"project": project},
                NewCode: {"releases": [{"project": project, "version": "1.0"}]},
                NewAccount: {"name": f"api-{secrets.token_hex(6)}"},
            }
            given["body"] = BODIES[operation.takes] | about.get(operation.takes, {})
        elif operation.takes in QUERIES:
            given["query"] = QUERIES[operation.takes]
        return self.call(operation.method, API + path, **given | changes)

    def token(self, role: str | None, scope: str = "*", *, actions: tuple[str, ...] | None = None) -> str:
        """The token of an account with one role, or with none; with all actions, or some."""
        key = (role or "", scope, *(actions or ()))
        if key not in self._tokens:
            self._tokens[key] = new_token()
            asyncio.run(self._add_account(self._tokens[key], role, scope, actions))
        return self._tokens[key]

    async def _add_account(
        self, token: str, role: str | None, scope: str, actions: tuple[str, ...] | None = None
    ) -> None:
        async with self._connection() as connection:
            name = f"{role}-{secrets.token_hex(4)}"
            account = await connection.fetchval("INSERT INTO account (name) VALUES ($1) RETURNING id", name)
            if role:
                await insert_grant(connection, account, role, scope)
        await self._add_token(token, name, actions)

    async def _add_token(self, token: str, account: str, actions: tuple[str, ...] | None = None) -> None:
        parts = parse_token(token)
        assert parts
        insert = """
            INSERT INTO token (id, account_id, secret_sha256, description, actions)
            SELECT $1, id, $3, '', $4 FROM account WHERE name = $2
        """
        async with self._connection() as connection:
            await connection.execute(insert, parts.id, account, digest_secret(parts.secret), actions)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(self.koschey.settings["KOSCHEY_DATABASE_URL"])
        try:
            yield connection
        finally:
            await connection.close()

    def upload(self, project: str, version: str = "1.0", *, note: str = "", token: str | None = None) -> Answer:
        """Upload a wheel."""
        modules = {f"{project.replace('-', '_')}.py": note}
        filename, content = wheel(project, version, modules=modules)
        body = encoded(form(filename, content, {"name": project}), filename, content)
        return self.call("POST", "/legacy/", raw=body, token=token, Content_Type=MULTIPART)

    def project(self, name: str) -> Any:
        """The API's answer about a project."""
        answer = self.call("GET", f"projects/{name}")
        assert answer.status == 200, answer
        return answer.json

    def actions(self, project: str) -> list[str]:
        """The journal's actions about a project, in their order."""
        query = "SELECT array_agg(action ORDER BY serial) FROM journal WHERE project = $1"
        return list(self.koschey.fetch_value(query, project) or [])


def is_problem(answer: Answer, status: int) -> bool:
    """Whether an answer is an error of RFC 9457 with this status."""
    body = answer.json
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert body["detail"]
    assert body["title"]
    return bool(answer.status == status == body["status"])
