-- The first page of a project is written by one call, and each new file costs less.
--
-- PostgreSQL reads `{64}` for 6 microseconds, and the same condition as written here for half of one. Each row satisfies
-- the old condition, so none is read again.
ALTER TABLE file
    DROP CONSTRAINT file_sha256_check,
    DROP CONSTRAINT file_core_metadata_check,
    DROP CONSTRAINT file_blake2b_256_check,
    ADD CONSTRAINT file_sha256_check CHECK (length(sha256) = 64 AND sha256 !~ '[^0-9a-f]') NOT VALID,
    ADD CONSTRAINT file_core_metadata_check CHECK (length(core_metadata) = 64 AND core_metadata !~ '[^0-9a-f]') NOT VALID,
    ADD CONSTRAINT file_blake2b_256_check CHECK (length(blake2b_256) = 64 AND blake2b_256 !~ '[^0-9a-f]') NOT VALID;

-- A foreign key looks up, and locks, one row for each new row; these triggers look up all of a statement at once. They
-- guarantee the same, because no project, file or index is ever deleted, and no row changes its owner.
CREATE FUNCTION refuse_orphan_files() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM (SELECT DISTINCT project_id FROM added) AS owner
                WHERE NOT EXISTS (SELECT FROM project WHERE project.id = owner.project_id)) THEN
        RAISE foreign_key_violation USING MESSAGE = 'a file belongs to a project that does not exist';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION refuse_orphan_standings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added WHERE NOT EXISTS (SELECT FROM file WHERE file.id = added.file_id))
       OR EXISTS (SELECT FROM (SELECT DISTINCT index_id FROM added) AS owner
                   WHERE NOT EXISTS (SELECT FROM index WHERE index.id = owner.index_id)) THEN
        RAISE foreign_key_violation USING MESSAGE = 'a state belongs to a file or an index that does not exist';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION refuse_other_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a row of the table % keeps its owner', TG_TABLE_NAME;
END $$;

CREATE TRIGGER index_is_never_deleted BEFORE DELETE ON index FOR EACH ROW EXECUTE FUNCTION refuse_delete();
CREATE TRIGGER index_is_never_emptied BEFORE TRUNCATE ON index FOR EACH STATEMENT EXECUTE FUNCTION refuse_delete();
CREATE TRIGGER file_has_project AFTER INSERT ON file REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_orphan_files();
CREATE TRIGGER file_keeps_project BEFORE UPDATE OF project_id ON file FOR EACH ROW
    WHEN (NEW.project_id IS DISTINCT FROM OLD.project_id) EXECUTE FUNCTION refuse_other_owner();
CREATE TRIGGER standing_has_file AFTER INSERT ON standing REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_orphan_standings();
CREATE TRIGGER standing_keeps_file BEFORE UPDATE OF index_id, file_id ON standing FOR EACH ROW
    WHEN ((NEW.index_id, NEW.file_id) IS DISTINCT FROM (OLD.index_id, OLD.file_id))
    EXECUTE FUNCTION refuse_other_owner();
ALTER TABLE file DROP CONSTRAINT file_project_id_fkey;
ALTER TABLE standing DROP CONSTRAINT standing_file_id_fkey, DROP CONSTRAINT standing_index_id_fkey;

-- The decisions are the caller's: it has judged every file, and passes rows. The order of the locks is that of all other
-- transactions: project, files, journal. Returns null, and writes nothing, if the name exists.
CREATE FUNCTION write_first_page(index_name text, page jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    this_index smallint := (SELECT id FROM index WHERE name = index_name);
    this_name text := page ->> 'name';
    read_at timestamptz := page ->> 'read_at';
    this_project bigint;
    files bigint[];
    last_serial bigint;
    written_at timestamptz;
BEGIN
    INSERT INTO project (name, display_name, origin, status, status_reason, upstream_etag, looked_at)
    VALUES (this_name, this_name, 'mirrored', page ->> 'status', page ->> 'status_reason', page ->> 'etag', read_at)
    ON CONFLICT (name) DO NOTHING
    RETURNING id INTO this_project;
    IF this_project IS NULL THEN
        RETURN NULL;
    END IF;
    -- The advisories about the project counted when its files were judged.
    UPDATE advisory SET pending = false WHERE project = this_name AND pending;
    WITH listed AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(page -> 'files') AS row (
            version text, filename text, sha256 text, size bigint, upload_time timestamptz, requires_python text,
            yanked text, core_metadata text, upstream_url text, path text, provenance_url text, blake2b_256 text,
            state text, reason text, release_at timestamptz, counts_from timestamptz,
            cause text, cause_subject text, cause_scope text, cause_version text)
    ), added AS (
        INSERT INTO file (project_id, version, filename, sha256, size, upload_time, requires_python, yanked,
                          core_metadata, upstream_url, path, provenance_url, blake2b_256, first_seen_at)
        SELECT this_project, version, filename, sha256, size, upload_time, requires_python, yanked,
               core_metadata, upstream_url, path, provenance_url, blake2b_256, read_at
          FROM listed
        RETURNING id, filename
    ), placed AS (
        INSERT INTO standing (index_id, file_id, state, reason, release_at, counts_from, available_at,
                              cause, cause_subject, cause_scope, cause_version)
        SELECT this_index, added.id, listed.state, listed.reason, listed.release_at, listed.counts_from,
               CASE WHEN listed.state = 'released' THEN koschey_now() END,
               listed.cause, listed.cause_subject, listed.cause_scope, listed.cause_version
          FROM listed JOIN added USING (filename)
    )
    SELECT coalesce(array_agg(id ORDER BY id), '{}') INTO files FROM added;
    INSERT INTO outbox (key, kind, payload)
    SELECT * FROM jsonb_to_recordset(page -> 'messages') AS row (key text, kind text, payload jsonb)
    ON CONFLICT (key) DO UPDATE SET payload = excluded.payload, due_at = least(outbox.due_at, excluded.due_at),
                                    revision = outbox.revision + 1;
    IF FOUND THEN
        PERFORM pg_notify('koschey_outbox', '');
    END IF;
    DELETE FROM lease WHERE key = page ->> 'lease' AND holder = page ->> 'holder';
    IF FOUND THEN
        PERFORM pg_notify('koschey_lease', page ->> 'lease');
    END IF;
    -- From here on all other writers wait.
    UPDATE journal_head SET serial = serial + jsonb_array_length(page -> 'journal'), at = greatest(at, koschey_clock())
    RETURNING serial, at INTO last_serial, written_at;
    INSERT INTO journal (serial, at, actor, door, action, project, version, filename, detail)
    SELECT last_serial - jsonb_array_length(page -> 'journal') + line.number, written_at,
           page ->> 'actor', page ->> 'door', line.action, this_name, line.version, line.filename, line.detail
      FROM ROWS FROM (jsonb_to_recordset(page -> 'journal') AS (action text, version text, filename text, detail jsonb))
           WITH ORDINALITY AS line (action, version, filename, detail, number);
    UPDATE project SET serial = last_serial WHERE id = this_project;
    PERFORM pg_notify('koschey_project', this_name);
    RETURN jsonb_build_object('project', this_project, 'serial', last_serial, 'now', koschey_now(),
                              'files', to_jsonb(files));
END $$;
