-- One history for all databases, and a journal whose times never run backwards.

-- The first and the ninth migration were changed after databases had applied them. This brings those databases to the
-- schema of all others, where it changes nothing. From here on every migration is frozen (koschey/db/migrate.py).
ALTER TABLE outbox ADD COLUMN IF NOT EXISTS revision bigint NOT NULL DEFAULT 0;
ALTER TABLE advisory ADD COLUMN IF NOT EXISTS pending boolean NOT NULL DEFAULT false;
CREATE INDEX IF NOT EXISTS advisory_pending ON advisory (project) WHERE pending;
ALTER TABLE rule DROP CONSTRAINT rule_check;
ALTER TABLE rule ADD CONSTRAINT rule_check CHECK (kind <> 'exception' OR (
    project !~ '[*@]' AND version <> '' AND subject <> '' AND value ~ '^[0-9a-f]{64}$' AND expires_at IS NOT NULL));
CREATE OR REPLACE FUNCTION record_downloads(
    index_name text, files bigint[], accounts text[], tokens text[], addresses text[], user_agents text[]
) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('koschey_download', 0));
    RETURN QUERY INSERT INTO download (index_id, file_id, account, token, address, user_agent)
    SELECT standing.index_id, row.file_id, row.account, row.token, row.address, row.user_agent
      FROM unnest(files, accounts, tokens, addresses, user_agents) AS row (file_id, account, token, address, user_agent)
      JOIN index ON index.name = index_name
      JOIN standing ON standing.index_id = index.id AND standing.file_id = row.file_id
     WHERE standing.state NOT IN ('blocked', 'removed')
    RETURNING download.file_id;
END $$;
CREATE OR REPLACE VIEW let_through AS
    SELECT standing.index_id, standing.file_id
      FROM standing
      JOIN file ON file.id = standing.file_id
      JOIN project ON project.id = file.project_id
     WHERE standing.state = 'held' AND file.sha256 IS NOT NULL AND file.path IS NOT NULL
       AND EXISTS (
           SELECT FROM rule
            WHERE rule.index_id = standing.index_id
              AND (rule.expires_at IS NULL OR rule.expires_at > koschey_now())
              AND in_scope(rule.project, project.name, project.origin)
              AND (rule.version = '' OR rule.version = file.version)
              AND (rule.kind = 'observed'
                   -- What its upstream took away is blocked at the next settling, whoever vouched for it.
                   OR (rule.kind = 'exception' AND rule.subject = file.filename AND rule.value = file.sha256
                       AND file.absent_since IS NULL)));

-- The time at which something happens in a transaction, while koschey_now() is that at which the transaction began.
CREATE FUNCTION koschey_clock() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT koschey_now() + (clock_timestamp() - now())';

-- The time of the last entry. It is read and written under the counter's lock, so times follow serials.
ALTER TABLE journal_head ADD COLUMN at timestamptz NOT NULL DEFAULT '-infinity';
-- Transactions that ran side by side are the only cause of earlier times under later serials.
UPDATE journal_head SET at = coalesce(
    (SELECT max(at) FROM (SELECT at FROM journal ORDER BY serial DESC LIMIT 10000) AS latest), '-infinity');
