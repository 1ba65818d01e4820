"""Has provenance objects (PEP 740) fetched and verified anew, by the workflow that attaches them."""

from koschey.commands.database import open_database
from koschey.db.attestations import select_stored_versions
from koschey.db.outbox import insert_message
from koschey.errors import NotKnown
from koschey.outbox import ProvenanceWanted
from koschey.settings import Settings
from koschey.standards.names import parse_scope
from koschey.terminal import say, say_json


async def attest_scope(settings: Settings, scope: str, *, as_json: bool) -> None:
    """Ask for the provenance of a release, or of all releases of a project, and print which.

    Raises `UsageError` for a scope that is none, and `NotKnown` where no file of it is stored here.
    """
    project, version = parse_scope(scope)
    async with open_database(settings) as pool, pool.acquire() as connection, connection.transaction():
        versions = await select_stored_versions(connection, project, version)
        if not versions:
            raise NotKnown(f"no file of {scope} is stored here; there is nothing to verify yet")
        for found in versions:
            await insert_message(connection, ProvenanceWanted(project, found, again=True))
    if as_json:
        say_json([{"project": project, "version": found} for found in versions])
    else:
        say(*(f"{project} {found}: will be fetched and verified by the worker" for found in versions))
