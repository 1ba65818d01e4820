-- Uploads under way, and names that change hands.

-- The objects of an upload are put into the bucket before its rows are written. Until then a row here says whose they
-- are. Where an upload fails, or its process dies, they are deleted if nothing refers to them; `discarded` keeps others
-- from beginning with the same objects meanwhile. Real time, as for leases.
CREATE TABLE pending_upload (
    sha256    text PRIMARY KEY CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    -- Digest of METADATA or PKG-INFO, which other files of the release may share.
    metadata  text NOT NULL CHECK (metadata ~ '^[0-9a-f]{64}$'),
    project   text NOT NULL,
    holder    text NOT NULL,
    until     timestamptz NOT NULL,
    discarded boolean NOT NULL DEFAULT false
);
CREATE INDEX pending_upload_metadata ON pending_upload (metadata);

-- A name has one origin at a time. Where an admin hands it over, the files that it has from its former origin are set
-- aside: they stay blocked, no decision reaches them, and their filenames and paths are free for the new origin.
ALTER TABLE file ADD COLUMN set_aside_at timestamptz;
-- The state that a file had when it was set aside; it is judged again when its origin comes back.
ALTER TABLE standing ADD COLUMN state_before text
    CHECK (state_before IN ('held', 'released', 'blocked', 'malformed', 'conflict', 'removed'));
CREATE UNIQUE INDEX file_name_once ON file (project_id, filename) WHERE set_aside_at IS NULL;
CREATE UNIQUE INDEX file_path_once ON file (path) WHERE set_aside_at IS NULL;
CREATE INDEX file_set_aside ON file (project_id, filename) WHERE set_aside_at IS NOT NULL;
-- For those that look for a path whoever has it.
CREATE INDEX file_path ON file (path);
ALTER TABLE file DROP CONSTRAINT file_project_id_filename_key;
ALTER TABLE file DROP CONSTRAINT file_path_key;

-- Who handed a name over, and what had been downloaded of it until then. The only reason for which an origin changes.
CREATE TABLE origin_change (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id       bigint NOT NULL REFERENCES project,
    origin           text NOT NULL CHECK (origin IN ('hosted', 'mirrored')),
    actor            text NOT NULL,
    door             text NOT NULL,
    reason           text NOT NULL,
    files            bigint NOT NULL,
    downloaded_files bigint NOT NULL,
    downloads        bigint NOT NULL,
    machines         bigint NOT NULL,
    at               timestamptz NOT NULL DEFAULT koschey_now(),
    transaction      xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX origin_change_project ON origin_change (project_id);
CREATE TRIGGER origin_change_is_append_only BEFORE UPDATE OR DELETE ON origin_change
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER origin_change_is_never_emptied BEFORE TRUNCATE ON origin_change
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE FUNCTION keep_name() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.name IS DISTINCT FROM OLD.name THEN
        RAISE EXCEPTION 'the project % keeps its name', OLD.name;
    END IF;
    IF NEW.origin IS DISTINCT FROM OLD.origin AND NOT EXISTS (
        SELECT FROM origin_change
         WHERE project_id = OLD.id AND origin = NEW.origin AND transaction = pg_current_xact_id()
    ) THEN
        RAISE EXCEPTION 'the project % is %; only a claim, or its reverse, changes that', OLD.name, OLD.origin;
    END IF;
    RETURN NEW;
END $$;

-- What the log of downloads has forgotten: that a file was downloaded, by which accounts, how often and when, but not
-- from where. So it stays known whether other bytes may have its name, and who may have its bytes.
CREATE TABLE forgotten_download (
    file_id   bigint NOT NULL REFERENCES file,
    -- Empty for clients without a login.
    account   text NOT NULL,
    downloads bigint NOT NULL,
    first_at  timestamptz NOT NULL,
    last_at   timestamptz NOT NULL,
    PRIMARY KEY (file_id, account)
);
CREATE FUNCTION note_forgotten() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO forgotten_download (file_id, account, downloads, first_at, last_at)
        SELECT file_id, coalesce(account, ''), count(*), min(at), max(at) FROM gone GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (file_id, account) DO UPDATE
            SET downloads = forgotten_download.downloads + excluded.downloads,
                first_at = least(forgotten_download.first_at, excluded.first_at),
                last_at = greatest(forgotten_download.last_at, excluded.last_at);
    RETURN NULL;
END $$;
CREATE TRIGGER download_is_noted_when_forgotten AFTER DELETE ON download REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION note_forgotten();
CREATE TRIGGER download_is_never_emptied BEFORE TRUNCATE ON download
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_delete();
CREATE TRIGGER forgotten_download_is_never_deleted BEFORE DELETE ON forgotten_download
    FOR EACH ROW EXECUTE FUNCTION refuse_delete();
CREATE TRIGGER forgotten_download_is_never_emptied BEFORE TRUNCATE ON forgotten_download
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_delete();
