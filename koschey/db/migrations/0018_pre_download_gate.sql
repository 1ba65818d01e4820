-- The statement that records downloads is the last gate before a file is sent: it records a download only if the file is
-- served at this moment. So a process that decides from memory sends no file whose block was committed before.

-- The rules for more than one project. Few rules are of this kind, but each of them may cover any file.
CREATE INDEX rule_pattern ON rule (index_id, kind)
 WHERE right(project, 2) = '-*' OR project IN ('*', '@upstream');

-- The conditions are those of the view `served_file`. They are written for a few files, each looked up by its id, and
-- rules for one project are looked up by its name: the view begins at the rules and gathers all that is closed.
CREATE OR REPLACE FUNCTION record_downloads(
    index_name text, files bigint[], accounts text[], tokens text[], addresses text[], user_agents text[]
) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('koschey_download', 0));
    RETURN QUERY
    WITH served AS MATERIALIZED (
        SELECT standing.index_id, standing.file_id
          FROM (SELECT DISTINCT unnest(files) AS file_id) AS wanted
          JOIN index ON index.name = index_name
          JOIN standing ON standing.index_id = index.id AND standing.file_id = wanted.file_id
          JOIN file ON file.id = wanted.file_id
          JOIN project ON project.id = file.project_id
         WHERE project.status <> 'quarantined'
           AND file.set_aside_at IS NULL
           AND (standing.state = 'released'
                OR (standing.state = 'held' AND file.sha256 IS NOT NULL AND file.path IS NOT NULL
                    AND EXISTS (
                        SELECT FROM rule
                         WHERE rule.index_id = standing.index_id AND rule.kind IN ('observed', 'exception')
                           AND (rule.expires_at IS NULL OR rule.expires_at > koschey_now())
                           AND in_scope(rule.project, project.name, project.origin)
                           AND rule.version IN ('', file.version)
                           AND (rule.kind = 'observed'
                                OR (rule.subject = file.filename AND rule.value = file.sha256
                                    AND (file.absent_since IS NULL OR file.absence_due_at IS NOT NULL))))))
           AND NOT EXISTS (
                SELECT FROM rule
                 WHERE rule.index_id = standing.index_id AND rule.kind IN ('blocked', 'reserved')
                   AND rule.project = project.name
                   AND (rule.kind = 'blocked' OR project.origin = 'mirrored')
                   AND rule.version IN ('', file.version)
                   AND (rule.expires_at IS NULL OR rule.expires_at > koschey_now()))
           AND NOT EXISTS (
                SELECT FROM rule
                 WHERE rule.index_id = standing.index_id AND rule.kind IN ('blocked', 'reserved')
                   AND (right(rule.project, 2) = '-*' OR rule.project IN ('*', '@upstream'))
                   AND (rule.kind = 'blocked' OR project.origin = 'mirrored')
                   AND rule.version IN ('', file.version)
                   AND (rule.expires_at IS NULL OR rule.expires_at > koschey_now())
                   AND in_scope(rule.project, project.name, project.origin))
    )
    INSERT INTO download (index_id, file_id, account, token, address, user_agent)
    SELECT served.index_id, row.file_id, row.account, row.token, row.address, row.user_agent
      FROM unnest(files, accounts, tokens, addresses, user_agents) AS row (file_id, account, token, address, user_agent)
      JOIN served ON served.file_id = row.file_id
    RETURNING download.file_id;
END $$;
