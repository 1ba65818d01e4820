"""Fills a database with very many projects, as an index has them after years. The rows are made by PostgreSQL.

For each project: ten versions with two files each. The last version of every second project is held, and its files have
all checks, a finding and a provenance record. Five projects have 5,000 files each. Half of the downloads are of one
project in a hundred. Names, digests and paths are in no particular order.
"""

import json
from collections.abc import Callable
from string import Template
from typing import NamedTuple

from koschey.db.checking import update_releases
from koschey.db.pool import Connection
from koschey.quarantine.security_fixes import walk_fixes

STEP = 10_000
"""Number of projects that one statement adds."""
RARE = 10
"""Number of projects that the scope `corp-rare-*` covers; `graph-*` covers one of forty."""
CHECKS = ("archive", "changes", "metadata", "name", "provenance", "size")
ANALYSE = "VACUUM ANALYZE"


class Shape(NamedTuple):
    """How large the projects are."""

    versions: int = 10
    big: int = 5
    """Number of projects with very many files."""
    big_versions: int = 2_500

    def shaped(self, statement: str) -> str:
        """The statement for projects of this shape."""
        last, rare = self.versions - 1, self.big + RARE
        return Template(statement).safe_substitute(self._asdict(), last=last, big_and_rare=rare)


USUAL = Shape()

ADD_PROJECTS = """
    INSERT INTO project (name, display_name, origin, serial, looked_at, summary)
    SELECT made.name, made.name, CASE WHEN n % 1000 = 7 THEN 'hosted' ELSE 'mirrored' END, n, koschey_now(),
           'A library for ' || (ARRAY['graphs', 'queues', 'images', 'dates', 'logs'])[1 + n % 5] || ', number ' || n
      FROM generate_series($1::integer, $2::integer) AS n
     CROSS JOIN LATERAL (
        SELECT CASE WHEN n <= ${big} THEN 'bigone-' || n
                    WHEN n <= ${big_and_rare} THEN 'corp-rare-' || n
                    WHEN n % 40 = 0 THEN 'graph-' || left(md5(n::text), 8)
                    WHEN n % 400 = 2 THEN left(md5(n::text), 6) || '-kafka-' || n
                    ELSE left(md5(n::text), 10) || '-' || n END AS name
     ) AS made
"""
ADD_FILES = """
    WITH release AS (
        SELECT project.id AS project_id, project.name, project.serial AS n, number, '1.' || number || '.0' AS version
          FROM project
         CROSS JOIN LATERAL generate_series(
            0, CASE WHEN project.name LIKE 'bigone-%' THEN ${big_versions} ELSE ${versions} END - 1) AS number
         WHERE project.serial BETWEEN $1 AND $2
    )
    INSERT INTO file (project_id, version, filename, sha256, size, upload_time, first_seen_at, stored_at, path,
                      upstream_url, blake2b_256, core_metadata, metadata_stored)
    SELECT project_id, version, made.filename, md5(made.filename) || md5(made.filename || 'x'),
           1000 + (n * 37) % 100000,
           koschey_now() - interval '1 day' * (400 - number % 400), koschey_now() - interval '1 day' * (1 + n % 300),
           koschey_now() - interval '1 day' * (1 + n % 300),
           '/packages/' || left(md5(made.filename), 2) || '/' || substr(md5(made.filename), 3, 2) || '/'
               || md5('p' || made.filename) || '/' || made.filename,
           'https://files.example.org/packages/' || md5(made.filename) || '/' || made.filename,
           md5('b' || made.filename) || md5('c' || made.filename), md5('m' || made.filename) || md5('m'), false
      FROM release
     CROSS JOIN LATERAL (
        VALUES (replace(name, '-', '_') || '-' || version || '.tar.gz'),
               (replace(name, '-', '_') || '-' || version || '-py3-none-any.whl')
     ) AS made (filename)
"""
ADD_STANDINGS = """
    INSERT INTO standing (index_id, file_id, state, reason, release_at, available_at, counts_from, cause)
    SELECT (SELECT id FROM index WHERE name = 'main'), file.id, made.state,
           CASE made.state WHEN 'held' THEN 'in quarantine' ELSE 'the quarantine window ended' END,
           CASE made.state WHEN 'held' THEN koschey_now() + interval '1 second' * (60 + file.project_id % 600000) END,
           CASE made.state WHEN 'released' THEN file.first_seen_at END, file.first_seen_at, 'time'
      FROM file
      JOIN project ON project.id = file.project_id
     CROSS JOIN LATERAL (
        SELECT CASE WHEN (project.serial % 2 = 0 AND file.version = '1.${last}.0')
                         OR (project.name LIKE 'bigone-%' AND file.version LIKE '%9.0')
                    THEN 'held' ELSE 'released' END AS state
     ) AS made
     WHERE project.serial BETWEEN $1 AND $2
"""
ADD_DEBUTS = """
    INSERT INTO debut (index_id, project_id, at)
    SELECT standing.index_id, file.project_id, min(standing.available_at)
      FROM project
      JOIN file ON file.project_id = project.id
      JOIN standing ON standing.file_id = file.id AND standing.state = 'released'
     WHERE project.serial BETWEEN $1 AND $2
     GROUP BY 1, 2
    ON CONFLICT DO NOTHING
"""
ADD_EVIDENCE = """
    WITH held AS (
        SELECT file.id, file.sha256 FROM project
          JOIN file ON file.project_id = project.id
          JOIN standing ON standing.file_id = file.id AND standing.state = 'held'
         WHERE project.serial BETWEEN $1 AND $2
    ), runs AS (
        INSERT INTO check_run (file_id, name, sha256) SELECT id, name, sha256 FROM held, unnest($3::text[]) AS name
    ), findings AS (
        INSERT INTO finding (file_id, name, code, severity, summary)
        SELECT id, 'size', 'grew', 'info', 'the file is larger than earlier ones' FROM held
    )
    INSERT INTO provenance (file_id, record)
    SELECT id, '{"url": "https://files.example.org/", "archive_info": {"hashes": {"sha256": "' || sha256 || '"}}}'
      FROM held
"""
ADD_JOURNAL = """
    WITH entry AS (
        SELECT project.name, file.version, file.filename, project.serial AS n
          FROM project JOIN file ON file.project_id = project.id
         WHERE project.serial BETWEEN $1 AND $2
    ), head AS (SELECT max(serial) AS serial FROM (SELECT 0 AS serial UNION ALL SELECT serial FROM journal) AS s)
    INSERT INTO journal (serial, at, actor, door, action, project, version, filename, detail)
    SELECT head.serial + row_number() OVER (ORDER BY md5(filename)), koschey_now() - interval '1 minute', 'system',
           'worker', 'add file', name, version, filename, '{"state": "held"}'
      FROM entry, head
"""
ADD_DOWNLOADS = """
    WITH chosen AS (
        SELECT file.id, CASE WHEN project.serial % 100 = 3 THEN 100 ELSE 1 END AS times
          FROM project
          JOIN file ON file.project_id = project.id
          JOIN standing ON standing.file_id = file.id AND standing.state = 'released'
         WHERE project.serial BETWEEN $1 AND $2 AND project.name NOT LIKE 'bigone-%'
    )
    INSERT INTO download (index_id, file_id, at, account, address, user_agent)
    SELECT (SELECT id FROM index WHERE name = 'main'), id,
           koschey_now() - interval '1 day' * (1 + (id * 7 + number) % 90), 'account-' || number % 20,
           '192.0.2.' || number % 250, 'pip/25.0'
      FROM chosen CROSS JOIN LATERAL generate_series(1, times) AS number
"""
ADD_ADVISORIES = """
    INSERT INTO advisory (id, project, malicious, summary, versions, ranges)
    SELECT 'PYSEC-2026-' || serial, name, false, 'about ' || name, '{}',
           '[{"introduced": "1.1.0", "fixed": "1.${last}.0"}]'
      FROM project WHERE serial BETWEEN $1 AND $2 AND serial % 50 IN (3, 4)
"""
ADD_RULES = """
    INSERT INTO rule (index_id, kind, project, version, reason, actor, value)
    SELECT (SELECT id FROM index WHERE name = 'main'), kind, scope, '', 'a reason', 'admin', value
      FROM (
        SELECT CASE WHEN n % 3 = 0 THEN 'reserved' ELSE 'blocked' END, 'acme-' || n || '-*', ''
          FROM generate_series(1, 11) AS n
        UNION ALL SELECT 'blocked', (SELECT name FROM project WHERE serial = 30 + n), '' FROM generate_series(1, 5) AS n
        UNION ALL SELECT 'trusted', 'trusted-' || n || '-*', '' FROM generate_series(1, 14) AS n
        UNION ALL SELECT 'window', 'slow-' || n || '-*', '14' FROM generate_series(1, 18) AS n
        UNION ALL SELECT 'observed', 'seen-*', ''
      ) AS given (kind, scope, value)
"""
ADD_REQUESTS = """
    INSERT INTO request (index_id, project, version, who, reason)
    SELECT (SELECT id FROM index WHERE name = 'main'), name, '1.${last}.0', 'ann', 'our build needs it'
      FROM project WHERE serial IN (20, 22, 24, 26, 28)
"""
ADD_CHECKS = (
    "INSERT INTO known_check (name, codes) SELECT name, '{}' FROM unnest($1::text[]) AS name ON CONFLICT DO NOTHING"
)
UPDATE_SERIALS = """
    UPDATE project SET serial = last.serial
      FROM (SELECT project, max(serial) AS serial FROM journal GROUP BY project) AS last
     WHERE last.project = project.name
"""
UPDATE_HEAD = "UPDATE journal_head SET serial = (SELECT max(serial) FROM journal), at = koschey_now()"


PORTION = (ADD_PROJECTS, ADD_FILES, ADD_STANDINGS, ADD_DEBUTS, ADD_JOURNAL, ADD_DOWNLOADS, ADD_ADVISORIES)
END = (ADD_RULES, ADD_REQUESTS, UPDATE_SERIALS, UPDATE_HEAD, ANALYSE)
PATIENCE = 3600.0
"""Maximum seconds for a statement."""


async def fill(
    connection: Connection, projects: int, shape: Shape = USUAL, tell: Callable[[int], None] = lambda _: None
) -> None:
    """Add so many projects to an empty index, and have PostgreSQL count its rows. `tell` hears of each portion.

    What the worker counts and finds in portions is not there: `find_ready_answers` adds it.
    A superuser may set `session_replication_role` to `replica` before: then no row is checked.
    """
    await connection.execute(ADD_CHECKS, list(CHECKS))
    for first in range(1, projects + 1, STEP):
        last = min(first + STEP - 1, projects)
        for statement in PORTION:
            await connection.execute(shape.shaped(statement), first, last, timeout=PATIENCE)
        await connection.execute(ADD_EVIDENCE, first, last, list(CHECKS), timeout=PATIENCE)
        tell(last)
    for statement in END:
        await connection.execute(shape.shaped(statement), timeout=PATIENCE)


async def find_ready_answers(connection: Connection) -> None:
    """Count releases and find security fixes, as the worker does, so that answers are ready."""
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    after = 0
    while after := await update_releases(connection, after, 2_000):
        pass
    async for _ in walk_fixes(connection):
        pass
