"""Statements on the impact of a change: the served files that it covers, and their downloads."""

from collections.abc import Sequence
from typing import NamedTuple

from koschey.db.pool import Connection
from koschey.model import MAIN_INDEX, FileId
from koschey.policy.rules import Rule, RuleKind

# A reservation affects mirrored projects alone.
SELECT_SERVED_COVERED = """
    SELECT served_file.file_id
      FROM served_file
      JOIN index ON index.id = served_file.index_id AND index.name = $1
      JOIN project ON project.id = served_file.project_id
     WHERE EXISTS (SELECT FROM unnest($2::text[], $3::text[], $4::text[]) AS covering (scope, version, kind)
                    WHERE in_scope(covering.scope, project.name, project.origin)
                      AND covering.version IN ('', served_file.version)
                      AND (covering.kind <> 'reserved' OR project.origin = 'mirrored'))
"""
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
    return [FileId(row["file_id"]) for row in await connection.fetch(SELECT_SERVED_COVERED, *_arguments(rules))]


async def count_served_covered(connection: Connection, rules: Sequence[Rule]) -> int:
    """Return how many files `select_served_covered` would return."""
    return int(await connection.fetchval(COUNT_SERVED_COVERED, *_arguments(rules))) if rules else 0


async def select_download_counts(connection: Connection, files: Sequence[FileId]) -> DownloadCounts:
    """Return how often these files were downloaded, and by how many machines."""
    return DownloadCounts(*await connection.fetchrow(SELECT_DOWNLOAD_COUNTS, list(files), COUNTED))


def _arguments(rules: Sequence[Rule]) -> tuple[str, list[str], list[str], list[RuleKind]]:
    kinds = [rule.kind for rule in rules]
    return MAIN_INDEX, [rule.scope for rule in rules], [rule.version or "" for rule in rules], kinds
