"""Optimistic concurrency: a change can name the serial that its author saw, and is refused where it is old."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from packaging.utils import NormalizedName
from quart import request

from koschey.db.pool import ACQUIRE_TIMEOUT, Connection
from koschey.db.projects import lock_project
from koschey.errors import Stale, UsageError
from koschey.model import Serial
from koschey.web.context import resources

TAG = re.compile(r'"([0-9]{1,18})"', re.ASCII)


@asynccontextmanager
async def as_expected(project: NormalizedName) -> AsyncIterator[Connection]:
    """Open a transaction in which the project is as `If-Match` (RFC 9110, 13.1.1) says.

    Raises `Stale` where it is not, and `UsageError` where the header is no serial.
    """
    expected = read_expected(request.headers.get("If-Match"))
    async with resources().pool.acquire(timeout=ACQUIRE_TIMEOUT) as connection, connection.transaction():
        if expected is not None:
            found = await lock_project(connection, project)
            if found is None or found.serial != expected:
                now = f"at serial {found.serial}" if found else "not known here"
                raise Stale(f"{project} is {now}, not at serial {expected}; look at it again, then decide")
        yield connection


def read_expected(header: str | None) -> Serial | None:
    """Return what `If-Match` names; None where it names nothing. Raises `UsageError` where it is no number."""
    if header is None:
        return None
    match = TAG.fullmatch(header.strip())
    if match is None:
        raise UsageError('If-Match takes one serial in quotes, as in the ETag of an earlier answer: "123"')
    return Serial(int(match[1]))
