-- Outside a transaction.
-- Statements whose answer has a constant size no longer read all rows of tables that grow. The indexes are built
-- concurrently, so that writers go on. A build that was interrupted leaves an invalid index, which is dropped first.
--
-- `wanted`: whether a project has files that are held, or that were released or downloaded recently. Only the order in
-- which pages are refreshed depends on it, and the follower of the upstream keeps it up to date.
ALTER TABLE project ADD COLUMN IF NOT EXISTS wanted boolean NOT NULL DEFAULT false;

DROP INDEX CONCURRENTLY IF EXISTS project_stale;

CREATE INDEX CONCURRENTLY project_stale
    ON project (wanted, (coalesce(looked_at, '-infinity'::timestamptz)), id) WHERE origin = 'mirrored';

-- Instead of `standing_waiting`: it also gives the files of a state in a fixed order, for walks in portions.
DROP INDEX CONCURRENTLY IF EXISTS standing_unreleased;

CREATE INDEX CONCURRENTLY standing_unreleased ON standing (index_id, state, file_id) WHERE state <> 'released';

DROP INDEX CONCURRENTLY IF EXISTS standing_waiting;

-- The quarantine, in the order in which windows end.
DROP INDEX CONCURRENTLY IF EXISTS standing_pending;

CREATE INDEX CONCURRENTLY standing_pending
    ON standing (index_id, (coalesce(release_at, 'infinity'::timestamptz)), file_id)
    WHERE state IN ('held', 'conflict', 'malformed');

-- The same as `in_scope`, in the other direction: it finds projects by their names. STRICT keeps PostgreSQL from merging
-- it into the statement around it, whose plan would then read all projects for a scope that is not known yet.
CREATE OR REPLACE FUNCTION projects_in_scope(scope text) RETURNS TABLE (id bigint, name text, origin text)
    LANGUAGE sql STABLE STRICT ROWS 10 AS $$
    SELECT project.id, project.name, project.origin FROM project WHERE project.name = scope
    UNION ALL
    SELECT project.id, project.name, project.origin FROM project
     WHERE right(scope, 2) = '-*' AND project.name = left(scope, -2)
    UNION ALL
    -- In the order of bytes, the names that begin with `acme-` come before `acme.`.
    SELECT project.id, project.name, project.origin FROM project
     WHERE right(scope, 2) = '-*'
       AND project.name COLLATE "C" >= left(scope, -1) AND project.name COLLATE "C" < left(scope, -2) || '.'
    UNION ALL
    SELECT project.id, project.name, project.origin FROM project WHERE scope = '*'
    UNION ALL
    SELECT project.id, project.name, project.origin FROM project WHERE scope = '@upstream' AND project.origin = 'mirrored'
$$;

-- Rules for everything, or for everything from upstreams, close an origin instead of each of its projects.
CREATE OR REPLACE VIEW closed_origin AS
    SELECT rule.index_id, closed.origin
      FROM rule JOIN (VALUES ('hosted'), ('mirrored')) AS closed (origin)
           ON closed.origin = 'mirrored' OR (rule.kind = 'blocked' AND rule.project = '*')
     WHERE rule.kind IN ('blocked', 'reserved') AND rule.project IN ('*', '@upstream')
       AND rule.version = '' AND (rule.expires_at IS NULL OR rule.expires_at > koschey_now());

CREATE OR REPLACE VIEW closed_project AS
    SELECT index.id AS index_id, project.id AS project_id
      FROM index CROSS JOIN project
     WHERE project.status = 'quarantined'
    UNION ALL
    SELECT rule.index_id, project.id
      FROM rule CROSS JOIN LATERAL projects_in_scope(rule.project) AS project
     WHERE rule.kind IN ('blocked', 'reserved') AND (rule.kind = 'blocked' OR project.origin = 'mirrored')
       AND rule.version = '' AND (rule.expires_at IS NULL OR rule.expires_at > koschey_now())
       AND rule.project NOT IN ('*', '@upstream');

-- A held file is compared with the rules for it alone: all files that such rules let through are not searched first. A
-- file that is set aside is blocked; the condition lets the index `file_name_once` find files by their names.
CREATE OR REPLACE VIEW served_file AS
    SELECT standing.index_id, standing.available_at, project.name AS project, file.id AS file_id,
           file.project_id, file.version, file.filename, file.size, file.upload_time, file.yanked
      FROM standing
      JOIN file ON file.id = standing.file_id
      JOIN project ON project.id = file.project_id
     WHERE file.set_aside_at IS NULL
       AND (standing.state = 'released'
            OR (standing.state = 'held' AND file.sha256 IS NOT NULL AND file.path IS NOT NULL
                AND EXISTS (
                    SELECT FROM rule
                     WHERE rule.index_id = standing.index_id AND rule.kind IN ('observed', 'exception')
                       AND (rule.expires_at IS NULL OR rule.expires_at > koschey_now())
                       AND in_scope(rule.project, project.name, project.origin)
                       AND (rule.version = '' OR rule.version = file.version)
                       AND (rule.kind = 'observed'
                            OR (rule.subject = file.filename AND rule.value = file.sha256
                                AND (file.absent_since IS NULL OR file.absence_due_at IS NOT NULL))))))
       AND (standing.index_id, project.origin) NOT IN (SELECT index_id, origin FROM closed_origin)
       AND (standing.index_id, file.project_id) NOT IN (SELECT index_id, project_id FROM closed_project)
       AND (standing.index_id, file.project_id, file.version)
           NOT IN (SELECT index_id, project_id, version FROM closed_release);

DROP VIEW IF EXISTS let_through;
