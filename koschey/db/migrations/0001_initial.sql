-- What an index is made of. Time in this schema is only ever read through koschey_now().

-- The one clock. Tests put another body here; nothing else may ask for the time.
CREATE FUNCTION koschey_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now()';

-- The journal: every change takes a serial, in commit order and without gaps, in the same transaction.
-- The counter is a row, not a sequence: its lock is kept until commit, so a later serial is never visible first.
CREATE TABLE journal_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    serial   bigint NOT NULL
);
INSERT INTO journal_head (serial) VALUES (0);

CREATE TABLE journal (
    serial   bigint PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT koschey_now(),
    actor    text NOT NULL,
    door     text NOT NULL,
    action   text NOT NULL,
    project  text,
    version  text,
    filename text,
    detail   jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX journal_project ON journal (project, serial);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the table % is append-only', TG_TABLE_NAME;
END $$;
CREATE TRIGGER journal_is_append_only BEFORE UPDATE OR DELETE ON journal
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER journal_is_never_emptied BEFORE TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE index (
    id   smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE
);
INSERT INTO index (name) VALUES ('main');

CREATE TABLE project (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    display_name  text NOT NULL,
    origin        text NOT NULL CHECK (origin IN ('hosted', 'mirrored')),
    status        text NOT NULL DEFAULT 'active'
                  CHECK (status IN ('active', 'archived', 'quarantined', 'deprecated')),
    status_reason text,
    serial        bigint NOT NULL DEFAULT 0,
    upstream_etag text,
    looked_at     timestamptz
);

-- Facts. What an index lets out is in `standing`.
CREATE TABLE file (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id      bigint NOT NULL REFERENCES project,
    version         text NOT NULL,
    filename        text NOT NULL,
    sha256          text CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    size            bigint CHECK (size >= 0),
    upload_time     timestamptz,
    first_seen_at   timestamptz NOT NULL DEFAULT koschey_now(),
    stored_at       timestamptz,
    requires_python text,
    yanked          text,
    core_metadata   text CHECK (core_metadata ~ '^[0-9a-f]{64}$'),
    metadata_stored boolean NOT NULL DEFAULT false,
    upstream_url    text,
    path            text UNIQUE CHECK (path LIKE '/packages/%'),
    absent_since    timestamptz,
    UNIQUE (project_id, filename),
    CHECK (stored_at IS NULL OR (sha256 IS NOT NULL AND size IS NOT NULL AND path IS NOT NULL))
);

-- One filename means one sequence of bytes, for ever.
CREATE FUNCTION keep_digest() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.sha256 IS NOT NULL AND NEW.sha256 IS DISTINCT FROM OLD.sha256 THEN
        RAISE EXCEPTION 'the sha256 of % never changes', OLD.filename;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER file_keeps_digest BEFORE UPDATE OF sha256 ON file
    FOR EACH ROW EXECUTE FUNCTION keep_digest();

CREATE TABLE standing (
    index_id     smallint NOT NULL REFERENCES index,
    file_id      bigint NOT NULL REFERENCES file,
    state        text NOT NULL
                 CHECK (state IN ('held', 'released', 'blocked', 'malformed', 'conflict', 'removed')),
    reason       text NOT NULL,
    release_at   timestamptz,
    available_at timestamptz,
    changed_at   timestamptz NOT NULL DEFAULT koschey_now(),
    PRIMARY KEY (index_id, file_id)
);
CREATE INDEX standing_waiting ON standing (index_id, state) WHERE state <> 'released';

-- The only legal moves, so that a bug in a program cannot make another one. `policy.states` says the same.
CREATE TABLE legal_move (
    from_state text NOT NULL,
    to_state   text NOT NULL,
    PRIMARY KEY (from_state, to_state)
);
INSERT INTO legal_move VALUES
    ('held', 'released'), ('held', 'blocked'), ('held', 'malformed'), ('held', 'conflict'),
    ('released', 'blocked'), ('blocked', 'held'),
    ('malformed', 'blocked'), ('conflict', 'blocked'), ('conflict', 'held'),
    ('held', 'removed'), ('released', 'removed'), ('blocked', 'removed'),
    ('malformed', 'removed'), ('conflict', 'removed');

CREATE FUNCTION refuse_illegal_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> OLD.state
       AND NOT EXISTS (SELECT FROM legal_move WHERE from_state = OLD.state AND to_state = NEW.state) THEN
        RAISE EXCEPTION 'a file that is % cannot become %', OLD.state, NEW.state;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER standing_moves_legally BEFORE UPDATE OF state ON standing
    FOR EACH ROW EXECUTE FUNCTION refuse_illegal_move();

-- Who let out, blocked or trusted what, and why.
CREATE TABLE decision (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    serial   bigint NOT NULL REFERENCES journal,
    index_id smallint NOT NULL REFERENCES index,
    action   text NOT NULL CHECK (action IN ('approve', 'block', 'unblock', 'trust', 'untrust')),
    project  text NOT NULL,
    version  text,
    filename text,
    sha256   text,
    actor    text NOT NULL,
    door     text NOT NULL,
    reason   text NOT NULL,
    at       timestamptz NOT NULL DEFAULT koschey_now(),
    -- An approval binds bytes that somebody could look at, never a version to come.
    CHECK (action <> 'approve' OR (version IS NOT NULL AND filename IS NOT NULL AND sha256 IS NOT NULL))
);
CREATE INDEX decision_project ON decision (project, version);

-- What is in force for files to come: at most one rule per kind and scope. `version` '' is the whole project.
CREATE TABLE rule (
    index_id smallint NOT NULL REFERENCES index,
    kind     text NOT NULL CHECK (kind IN ('trusted', 'blocked')),
    project  text NOT NULL,
    version  text NOT NULL DEFAULT '',
    reason   text NOT NULL,
    actor    text NOT NULL,
    at       timestamptz NOT NULL DEFAULT koschey_now(),
    PRIMARY KEY (index_id, kind, project, version)
);

-- PEP 710: where a mirrored file came from, written once. The text is what is served, byte for byte.
CREATE TABLE provenance (
    file_id bigint PRIMARY KEY REFERENCES file,
    record  text NOT NULL,
    at      timestamptz NOT NULL DEFAULT koschey_now()
);
CREATE TRIGGER provenance_is_immutable BEFORE UPDATE OR DELETE ON provenance
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Work for Temporal, in the same transaction as its cause; the worker relays it.
CREATE TABLE outbox (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key      text NOT NULL UNIQUE,
    kind     text NOT NULL,
    payload  jsonb NOT NULL,
    due_at   timestamptz NOT NULL DEFAULT koschey_now(),
    -- Grows when the same message is written again, so that one that is just being sent is sent once more.
    revision bigint NOT NULL DEFAULT 0
);
CREATE INDEX outbox_due ON outbox (due_at, id);

-- Who is at work on what, so that it is done once. Real time: a lease guards processes, not policy.
CREATE TABLE lease (
    key    text PRIMARY KEY,
    holder text NOT NULL,
    until  timestamptz NOT NULL
);

CREATE TABLE account (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text NOT NULL UNIQUE,
    password_hash text,
    disabled_at   timestamptz
);

-- A role within a scope: a project's name, or '*' for all.
CREATE TABLE account_grant (
    account_id bigint NOT NULL REFERENCES account ON DELETE CASCADE,
    role       text NOT NULL CHECK (role IN ('uploader', 'reviewer', 'admin')),
    scope      text NOT NULL DEFAULT '*',
    PRIMARY KEY (account_id, role, scope)
);

-- Tokens are opaque: the id finds the row, the digest of the secret proves it.
CREATE TABLE token (
    id            text PRIMARY KEY,
    account_id    bigint NOT NULL REFERENCES account ON DELETE CASCADE,
    secret_sha256 text NOT NULL,
    description   text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT koschey_now(),
    expires_at    timestamptz,
    revoked_at    timestamptz
);
