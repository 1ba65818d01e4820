"""Keeps the held security fixes ready, so that a list of pending releases reads only those that it shows.

They depend on advisories, held files and downloads. The worker searches all projects with advisories after each
reading of the feed, and one project whenever a release of it is settled. So a fix is listed from its first settlement,
and the number of downloads is that of the last reading of the feed.
"""

from collections.abc import AsyncIterator

from koschey.db.fast_lane import (
    FastLane,
    find_fixes,
    is_concerned,
    replace_fixes,
    select_advised,
    select_stored_fixes,
    to_stored,
)
from koschey.db.pool import Connection
from koschey.db.projects import lock_project
from koschey.model import Project

WALKED = 200
"""Number of projects with advisories in one step of the walk."""


async def walk_fixes(connection: Connection) -> AsyncIterator[FastLane]:
    """Search all projects with advisories, store what has changed, and yield all security fixes that are held."""
    after = ""
    while True:
        names, after = await select_advised(connection, after, WALKED)
        found = await find_fixes(connection, names)
        now, before = to_stored(found), await select_stored_fixes(connection, names)
        for name in names:
            if now.get(name) != before.get(name):
                async with connection.transaction():
                    project = await lock_project(connection, name)
                    if project is not None:
                        await store_fixes(connection, project)
        for fix in found:
            yield fix
        if not after:
            return


async def renew_fixes(connection: Connection, project: Project) -> None:
    """Store the security fixes among the held releases of a project. The caller has locked it."""
    if await is_concerned(connection, project.name):
        await store_fixes(connection, project)


async def store_fixes(connection: Connection, project: Project) -> None:
    """Search a project whose lock the caller has, and store its security fixes."""
    found = to_stored(await find_fixes(connection, [project.name]))
    await replace_fixes(connection, project.id, found.get(project.name, {}))
