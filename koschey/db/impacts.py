"""Statements on the impact of a change: the served files that it covers, and their downloads."""

from collections.abc import Sequence
from typing import NamedTuple

from koschey.db.pool import Connection
from koschey.db.scopes import IN_VERSIONS, RULE_TIMEOUT
from koschey.model import MAIN_INDEX, FileId
from koschey.policy.rules import Rule, RuleKind

# The covered projects are found by their names, then their files. A reservation affects mirrored projects alone.
SELECT_SERVED_COVERED = f"""
    WITH covered AS MATERIALIZED (
        SELECT project.id, array_agg(covering.version) AS versions
          FROM unnest($2::text[], $3::text[], $4::text[]) AS covering (scope, version, kind)
         CROSS JOIN LATERAL projects_in_scope(covering.scope) AS project
         WHERE covering.kind <> 'reserved' OR project.origin = 'mirrored'
         GROUP BY project.id
    )
    SELECT file.file_id
      FROM covered
      JOIN served_file AS file ON file.project_id = covered.id AND {IN_VERSIONS}
      JOIN index ON index.id = file.index_id AND index.name = $1
"""  # noqa: S608
COUNT_SERVED_COVERED = f"SELECT count(*) FROM ({SELECT_SERVED_COVERED}) AS covered"  # noqa: S608
SELECT_DOWNLOAD_COUNTS = """
    WITH taken AS MATERIALIZED (
        SELECT account, address FROM download WHERE file_id = ANY($1::bigint[]) LIMIT $2
    )
    SELECT (SELECT count(*) FROM taken)
           + (SELECT coalesce(sum(downloads), 0)::bigint FROM forgotten_download WHERE file_id = ANY($1::bigint[])),
           (SELECT count(*) FROM (SELECT DISTINCT account, address FROM taken) AS machine)
"""
COUNTED = 1_000_000
"""Maximum number of downloads that are counted. A statement has little time, and more would change no decision."""


class DownloadCounts(NamedTuple):
    """How often files were downloaded, and by how many machines."""

    downloads: int
    machines: int
    """Number of different pairs of account and address, as far as the log of downloads goes back."""


async def select_served_covered(connection: Connection, rules: Sequence[Rule]) -> list[FileId]:
    """Return the files that are served now and that one of the rules covers. All of the rules block files."""
    rows = await connection.fetch(SELECT_SERVED_COVERED, *_arguments(rules), timeout=RULE_TIMEOUT)
    return [FileId(row["file_id"]) for row in rows]


async def count_served_covered(connection: Connection, rules: Sequence[Rule]) -> int:
    """Return how many files `select_served_covered` would return."""
    if not rules:
        return 0
    return int(await connection.fetchval(COUNT_SERVED_COVERED, *_arguments(rules), timeout=RULE_TIMEOUT))


async def select_download_counts(connection: Connection, files: Sequence[FileId]) -> DownloadCounts:
    """Return how often these files were downloaded, and by how many machines."""
    return DownloadCounts(*await connection.fetchrow(SELECT_DOWNLOAD_COUNTS, list(files), COUNTED))


def _arguments(rules: Sequence[Rule]) -> tuple[str, list[str], list[str], list[RuleKind]]:
    kinds = [rule.kind for rule in rules]
    return MAIN_INDEX, [rule.scope for rule in rules], [rule.version or "" for rule in rules], kinds
