-- A policy as data: rules with a scope, a value and an end; what checks found; who took what; who asked; who agreed.

-- Scopes, the narrowest first: a version of a project; a project; all names that begin so (`acme-*`: acme and what
-- begins with `acme-`); all that comes from an upstream (`@upstream`); everything (`*`).
ALTER TABLE rule ADD COLUMN subject text NOT NULL DEFAULT '';
ALTER TABLE rule ADD COLUMN value text NOT NULL DEFAULT '';
ALTER TABLE rule ADD COLUMN ticket text;
ALTER TABLE rule ADD COLUMN expires_at timestamptz;
ALTER TABLE rule ADD COLUMN seconded_by text;
ALTER TABLE rule DROP CONSTRAINT rule_kind_check;
ALTER TABLE rule ADD CONSTRAINT rule_kind_check CHECK (kind IN (
    'trusted', 'blocked', 'reserved', 'exception', 'window', 'unknown-age', 'first-seen', 'withdrawn', 'allowed-only',
    'attested', 'check', 'observed', 'announced', 'second-person'));
ALTER TABLE rule DROP CONSTRAINT rule_pkey;
ALTER TABLE rule ADD PRIMARY KEY (index_id, kind, project, version, subject);
-- An exception binds bytes that somebody could look at, and always ends.
ALTER TABLE rule ADD CHECK (kind <> 'exception' OR (
    project !~ '[*@]' AND version <> '' AND subject <> '' AND value ~ '^[0-9a-f]{64}$' AND expires_at IS NOT NULL));
CREATE INDEX rule_expiry ON rule (expires_at) WHERE expires_at IS NOT NULL;

-- Since when a window counts, and until when a reviewer extended it whatever the window says.
ALTER TABLE standing ADD COLUMN counts_from timestamptz;
ALTER TABLE standing ADD COLUMN held_until timestamptz;
UPDATE standing SET counts_from = release_at, held_until = release_at WHERE state = 'held' AND release_at IS NOT NULL;

ALTER TABLE decision DROP CONSTRAINT decision_action_check;
ALTER TABLE decision ADD CONSTRAINT decision_action_check CHECK (action IN (
    'approve', 'block', 'unblock', 'trust', 'untrust', 'extend', 'except', 'recall', 'policy'));
ALTER TABLE decision ADD COLUMN ticket text;
ALTER TABLE decision ADD COLUMN seconded_by text;

-- A decision that needs a second person, until that person agrees.
CREATE TABLE proposal (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    index_id   smallint NOT NULL REFERENCES index,
    action     text NOT NULL,
    project    text NOT NULL,
    version    text NOT NULL DEFAULT '',
    -- The sha256 of every file that it binds, sorted: a second person agrees to the same bytes or not at all.
    digests    text[] NOT NULL,
    reason     text NOT NULL,
    ticket     text,
    expires_at timestamptz,
    actor      text NOT NULL,
    door       text NOT NULL,
    at         timestamptz NOT NULL DEFAULT koschey_now(),
    closed_at  timestamptz,
    closed_by  text
);
CREATE UNIQUE INDEX proposal_open ON proposal (index_id, action, project, version) WHERE closed_at IS NULL;

-- The checks that workers have brought. One that is missing later is still required, so that nothing is let out
-- unchecked; policy switches it off.
CREATE TABLE known_check (
    name         text PRIMARY KEY,
    -- What it can find: {code: {"what": text, "action": "note" | "hold" | "block"}}, where the action is the default.
    codes        jsonb NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT koschey_now()
);

-- That a check has looked at a file's bytes, or why it could not. One row a file and check: the last try.
CREATE TABLE check_run (
    file_id bigint NOT NULL REFERENCES file,
    name    text NOT NULL,
    -- Of the bytes that it saw.
    sha256  text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    -- NULL where it went through; else why it crashed, hung or skipped something: the file stays held.
    fault   text,
    tries   integer NOT NULL DEFAULT 1,
    at      timestamptz NOT NULL DEFAULT koschey_now(),
    PRIMARY KEY (file_id, name)
);

-- What a check found. What is done about it is policy.
CREATE TABLE finding (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file_id  bigint NOT NULL REFERENCES file,
    name     text NOT NULL,
    code     text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'serious')),
    summary  text NOT NULL,
    evidence jsonb NOT NULL DEFAULT '{}',
    at       timestamptz NOT NULL DEFAULT koschey_now()
);
CREATE INDEX finding_file ON finding (file_id);

-- What an archive contains, as the child that read it says; later releases are compared with it.
CREATE TABLE content (
    file_id bigint PRIMARY KEY REFERENCES file,
    sha256  text NOT NULL,
    report  jsonb NOT NULL,
    at      timestamptz NOT NULL DEFAULT koschey_now()
);

-- Who took which file. A recall lists them.
CREATE TABLE download (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    index_id   smallint NOT NULL REFERENCES index,
    file_id    bigint NOT NULL REFERENCES file,
    at         timestamptz NOT NULL DEFAULT koschey_now(),
    account    text,
    token      text,
    address    text,
    user_agent text
);
CREATE INDEX download_file ON download (file_id, at);
-- Writes down what is about to be handed out, and returns the files; not one that was blocked or removed meanwhile.
-- Whoever asks who took a recalled file takes this lock alone, after the recall was committed: all that was judged
-- before then is written down, and all that comes later is refused. A function, so that what it reads is read once
-- the lock is there.
CREATE FUNCTION record_downloads(
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

-- Who asked for a release that is held or blocked; asking again counts.
CREATE TABLE request (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    index_id smallint NOT NULL REFERENCES index,
    project  text NOT NULL,
    version  text NOT NULL,
    -- The account, or where nobody logs in the address.
    who      text NOT NULL,
    reason   text NOT NULL,
    times    integer NOT NULL DEFAULT 1,
    at       timestamptz NOT NULL DEFAULT koschey_now(),
    last_at  timestamptz NOT NULL DEFAULT koschey_now(),
    answered_at timestamptz,
    UNIQUE (index_id, project, version, who)
);

-- What somebody should know at once. The webhook is told by way of the outbox.
CREATE TABLE alert (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    serial   bigint NOT NULL REFERENCES journal,
    kind     text NOT NULL,
    project  text,
    version  text,
    filename text,
    detail   jsonb NOT NULL DEFAULT '{}',
    at       timestamptz NOT NULL DEFAULT koschey_now(),
    sent_at  timestamptz
);
CREATE INDEX alert_newest ON alert (at DESC);

-- Advisories (OSV schema) as the feed had them last; a withdrawn one stays, marked.
CREATE TABLE advisory (
    id           text NOT NULL,
    project      text NOT NULL,
    malicious    boolean NOT NULL,
    summary      text NOT NULL,
    -- Exact versions, and ranges [{"introduced": v, "fixed": v | null, "last_affected": v | null}].
    versions     text[] NOT NULL DEFAULT '{}',
    ranges       jsonb NOT NULL DEFAULT '[]',
    modified     timestamptz,
    withdrawn_at timestamptz,
    -- It calls something malware, or does so no more, and the files that are here have not been looked at since.
    pending      boolean NOT NULL DEFAULT false,
    PRIMARY KEY (id, project)
);
CREATE INDEX advisory_project ON advisory (project);
CREATE INDEX advisory_pending ON advisory (project) WHERE pending;
CREATE TABLE advisory_feed (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- When it was last read as a whole; NULL: never. Too long ago, or never, holds what time would release.
    read_at  timestamptz,
    tried_at timestamptz,
    fault    text,
    etag     text,
    count    integer NOT NULL DEFAULT 0
);

-- Files that are held and served all the same: under observation, or by an exception for exactly these bytes.
CREATE FUNCTION in_scope(scope text, project text, origin text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT scope = project OR scope = '*' OR (scope = '@upstream' AND origin = 'mirrored')
        OR (right(scope, 2) = '-*' AND (project = left(scope, -2) OR starts_with(project, left(scope, -1))))
$$;
CREATE VIEW let_through AS
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

CREATE OR REPLACE VIEW closed_project AS
    SELECT index.id AS index_id, project.id AS project_id
      FROM index CROSS JOIN project
     WHERE project.status = 'quarantined'
    UNION ALL
    -- A block or a reservation of the one name is found by an index.
    SELECT rule.index_id, project.id
      FROM rule JOIN project ON project.name = rule.project
     WHERE (rule.kind = 'blocked' OR (rule.kind = 'reserved' AND project.origin = 'mirrored'))
       AND rule.version = '' AND (rule.expires_at IS NULL OR rule.expires_at > koschey_now())
    UNION ALL
    SELECT rule.index_id, project.id
      FROM rule JOIN project ON in_scope(rule.project, project.name, project.origin)
     WHERE (rule.kind = 'blocked' OR (rule.kind = 'reserved' AND project.origin = 'mirrored'))
       AND rule.version = '' AND (rule.expires_at IS NULL OR rule.expires_at > koschey_now())
       AND (rule.project IN ('*', '@upstream') OR right(rule.project, 2) = '-*');
CREATE OR REPLACE VIEW closed_release AS
    SELECT rule.index_id, project.id AS project_id, rule.version
      FROM rule JOIN project ON project.name = rule.project
     WHERE rule.kind = 'blocked' AND rule.version <> ''
       AND (rule.expires_at IS NULL OR rule.expires_at > koschey_now());
CREATE OR REPLACE VIEW served_file AS
    SELECT standing.index_id, standing.available_at, project.name AS project, file.id AS file_id,
           file.project_id, file.version, file.filename, file.size, file.upload_time, file.yanked
      FROM standing
      JOIN file ON file.id = standing.file_id
      JOIN project ON project.id = file.project_id
     WHERE (standing.state = 'released'
            OR (standing.index_id, standing.file_id) IN (SELECT index_id, file_id FROM let_through))
       AND (standing.index_id, file.project_id) NOT IN (SELECT index_id, project_id FROM closed_project)
       AND (standing.index_id, file.project_id, file.version)
           NOT IN (SELECT index_id, project_id, version FROM closed_release);
