"""The OpenAPI document of the management API, made from the operations and their types.

Koschey does not use quart-schema, which keeps only the outermost of msgspec's types, so that references lead nowhere,
supports only `application/json` for errors, and wraps the creation of every answer for conversions that ours never
need.
"""

import re
from functools import cache
from typing import Any

import msgspec
from quart import Response

from koschey import __version__
from koschey.auth.permissions import Action
from koschey.web.access import Access, needs
from koschey.web.api.operations import JSON, OPERATIONS, TAGGED, Operation, blueprint
from koschey.web.api.types import Problem, Unconfirmed
from koschey.web.context import resources

REFERENCE = "#/components/schemas/{name}"
ERRORS = {
    400: "The request does not match this operation, or cannot be carried out in the current state.",
    401: "The `Authorization` header does not prove an account.",
    403: "The account may not do this.",
    404: "There is no such project, release or file here.",
    412: "The project is not at the serial that `If-Match` names.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    428: "The change would hide files in use: send the request again with `confirm`.",
    429: "The address has sent wrong credentials too often, or the caller has too many open requests.",
    503: "A store does not answer; try again.",
}
ERROR_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    429: {"Retry-After": {"schema": {"type": "integer"}}},
    503: {"Retry-After": {"schema": {"type": "integer"}}},
}
ERROR_BODIES: dict[int, type[Problem]] = {428: Unconfirmed}
"""Types of the errors that have more fields than `Problem`."""
IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of an earlier answer; the request is refused if the project has changed since.",
    "schema": {"type": "string", "pattern": '^"[0-9]{1,18}"$'},
}
ETAG = {"description": "The project's serial, or the policy's tag, for `If-Match`.", "schema": {"type": "string"}}
OPEN = "Open to every client that may read the index."
OWN = "For every account, with its password or with a token that may `administer`."
ABOUT = "Manage hosted projects and held files of a Koschey index. Most operations need an account; open ones say so."


@blueprint.get("/openapi.json")
@needs(Access.OPEN)
async def openapi() -> Response:
    """Return this document."""
    headers = {"Content-Type": JSON, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    return Response(msgspec.json.encode(build_document(resources().addresses.prefix)), 200, headers)


@cache
def build_document(prefix: str = "") -> dict[str, Any]:
    """Return the OpenAPI 3.1 document; `prefix` is the path of the index's public URL, empty if it has none."""
    schemas = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(_path(operation.rule), {})[operation.method.lower()] = _operation(operation, schemas)
    paths[f"{blueprint.url_prefix}/openapi.json"] = {"get": _this_document()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Koschey", "version": __version__, "description": ABOUT},
        # A URL without a host is relative to that of this document, whatever host the client uses (section 4.8.5).
        "servers": [{"url": prefix or "/"}],
        "paths": paths,
        "security": [{"token": []}, {"password": []}],
        "components": {
            "schemas": schemas,
            "responses": {str(status): _error(status) for status in ERRORS},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "kos_<id>_<secret>_<checksum>"},
                "password": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _schemas() -> dict[str, Any]:
    types = {kind for operation in OPERATIONS for kind in (operation.takes, operation.answers)}
    types |= {Problem, *ERROR_BODIES.values()}
    _, schemas = msgspec.json.schema_components(sorted(types, key=lambda kind: kind.__name__), ref_template=REFERENCE)
    return schemas


def _path(rule: str) -> str:
    return f"{blueprint.url_prefix}{re.sub('<([a-z]+)>', r'{\1}', rule)}"


def _operation(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    ok: dict[str, Any] = {"description": "Done.", "content": {JSON: {"schema": _reference(operation.answers)}}}
    if issubclass(operation.answers, TAGGED):
        ok["headers"] = {"ETag": ETAG}
    errors = {str(status): {"$ref": f"#/components/responses/{status}"} for status in operation.errors}
    described = {
        "operationId": operation.name,
        "summary": operation.about,
        "description": _said(operation),
        "parameters": _parameters(operation, schemas),
        "responses": {"200": ok, **errors},
    }
    if operation.needs is Action.READ:
        described["security"] = [{}, {"token": []}, {"password": []}]
    if operation.reads_body:
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": _reference(operation.takes)}}}
    return described


def _said(operation: Operation) -> str:
    """Return who may call an operation."""
    match operation.needs:
        case Action.READ:
            return OPEN
        case Access.OWNER:
            return OWN
        case Action() as action:
            return f"Needs the permission `{action}`."
        case Access.LOGIN:
            return "For every account."
    raise AssertionError(f"{operation.name} has no words for {operation.needs}")


def _parameters(operation: Operation, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    found = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall("<([a-z]+)>", operation.rule)
    ]
    if not operation.reads_body:
        query = schemas[operation.takes.__name__]
        required = query.get("required", [])
        found += [
            {"name": name, "in": "query", "required": name in required, "schema": schema}
            for name, schema in query["properties"].items()
        ]
    return [*found, IF_MATCH] if operation.changes else found


def _reference(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": REFERENCE.format(name=kind.__name__)}


def _error(status: int) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": _reference(ERROR_BODIES.get(status, Problem))}}
    return {"description": ERRORS[status], "content": content, "headers": ERROR_HEADERS.get(status, {})}


def _this_document() -> dict[str, Any]:
    content = {JSON: {"schema": {"type": "object"}}}
    return {
        "operationId": "openapi",
        "summary": openapi.__doc__,
        "security": [],
        "responses": {"200": {"description": "This document.", "content": content}},
    }
