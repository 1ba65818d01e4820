-- The present schema: what all migrations make together. It is for readers; no code applies it.
-- A test compares it with a migrated database. Write it again with:
--     pytest -n 0 --write-schema tests/koschey/db/test_schema.py

CREATE FUNCTION public.chain_journal() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    entry record;
    last bytea;
    serials bigint[];
    digests bytea[];
BEGIN
    SELECT digest INTO last FROM journal_digest WHERE serial = (SELECT min(serial) - 1 FROM added);
    last := coalesce(last, '');
    FOR entry IN
        SELECT serial,
               jsonb_build_array(
                   serial, (extract(epoch FROM at) * 1000000)::bigint, actor, door, action,
                   project, version, filename, detail
               )::text AS text
          FROM added ORDER BY serial
    LOOP
        last := sha256(last || convert_to(entry.text, 'UTF8'));
        serials := serials || entry.serial;
        digests := digests || last;
    END LOOP;
    INSERT INTO journal_digest (serial, digest) SELECT * FROM unnest(serials, digests);
    RETURN NULL;
END $$;

CREATE FUNCTION public.forget_cause() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF (NEW.state, NEW.reason) IS DISTINCT FROM (OLD.state, OLD.reason)
       AND NEW.cause_transaction IS DISTINCT FROM pg_current_xact_id() THEN
        NEW.cause := 'unknown';
        NEW.cause_subject := '';
        NEW.cause_scope := '';
        NEW.cause_version := NULL;
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.forget_withdrawal() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.state <> OLD.state AND NEW.withdrawn_at IS NOT DISTINCT FROM OLD.withdrawn_at THEN
        NEW.withdrawn_at := NULL;
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.in_scope(scope text, project text, origin text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT scope = project OR scope = '*' OR (scope = '@upstream' AND origin = 'mirrored')
        OR (right(scope, 2) = '-*' AND (project = left(scope, -2) OR starts_with(project, left(scope, -1))))
$$;

CREATE FUNCTION public.keep_digest() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF OLD.sha256 IS NOT NULL AND NEW.sha256 IS DISTINCT FROM OLD.sha256 THEN
        RAISE EXCEPTION 'the sha256 of % never changes', OLD.filename;
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.keep_name() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.koschey_clock() RETURNS timestamp with time zone
    LANGUAGE sql
    AS $$SELECT koschey_now() + (clock_timestamp() - now())$$;

CREATE FUNCTION public.koschey_now() RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    AS $$SELECT now()$$;

CREATE FUNCTION public.note_debut() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO debut (index_id, project_id, at)
        SELECT changed.index_id, file.project_id, min(changed.available_at)
          FROM changed JOIN file ON file.id = changed.file_id
         WHERE changed.state = 'released' AND changed.available_at IS NOT NULL
         GROUP BY changed.index_id, file.project_id
        ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE FUNCTION public.note_forgotten() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO forgotten_download (file_id, account, downloads, first_at, last_at)
        SELECT file_id, coalesce(account, ''), count(*), min(at), max(at) FROM gone GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (file_id, account) DO UPDATE
            SET downloads = forgotten_download.downloads + excluded.downloads,
                first_at = least(forgotten_download.first_at, excluded.first_at),
                last_at = greatest(forgotten_download.last_at, excluded.last_at);
    RETURN NULL;
END $$;

CREATE FUNCTION public.notify_account() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_notify('koschey_account', '');
    RETURN NULL;
END $$;

CREATE FUNCTION public.projects_in_scope(scope text) RETURNS TABLE(id bigint, name text, origin text)
    LANGUAGE sql STABLE STRICT ROWS 10
    AS $$
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

CREATE FUNCTION public.record_downloads(index_name text, files bigint[], accounts text[], tokens text[], addresses text[], user_agents text[]) RETURNS SETOF bigint
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'the table % is append-only', TG_TABLE_NAME;
END $$;

CREATE FUNCTION public.refuse_delete() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'nothing is deleted from the table %; mark it as removed', TG_TABLE_NAME;
END $$;

CREATE FUNCTION public.refuse_illegal_move() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.state <> OLD.state
       AND NOT EXISTS (SELECT FROM legal_move WHERE from_state = OLD.state AND to_state = NEW.state) THEN
        RAISE EXCEPTION 'a file that is % cannot become %', OLD.state, NEW.state;
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.refuse_orphan_files() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF EXISTS (SELECT FROM (SELECT DISTINCT project_id FROM added) AS owner
                WHERE NOT EXISTS (SELECT FROM project WHERE project.id = owner.project_id)) THEN
        RAISE foreign_key_violation USING MESSAGE = 'a file belongs to a project that does not exist';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION public.refuse_orphan_standings() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF EXISTS (SELECT FROM added WHERE NOT EXISTS (SELECT FROM file WHERE file.id = added.file_id))
       OR EXISTS (SELECT FROM (SELECT DISTINCT index_id FROM added) AS owner
                   WHERE NOT EXISTS (SELECT FROM index WHERE index.id = owner.index_id)) THEN
        RAISE foreign_key_violation USING MESSAGE = 'a state belongs to a file or an index that does not exist';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION public.refuse_other_owner() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'a row of the table % keeps its owner', TG_TABLE_NAME;
END $$;

CREATE FUNCTION public.write_first_page(index_name text, page jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    AS $$
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

CREATE TABLE public.account (
    id bigint NOT NULL,
    name text NOT NULL,
    password_hash text,
    disabled_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT public.koschey_now()
);

CREATE TABLE public.account_grant (
    account_id bigint NOT NULL,
    role text NOT NULL,
    scope text DEFAULT '*'::text NOT NULL,
    CONSTRAINT account_grant_role_check CHECK ((role = ANY (ARRAY['uploader'::text, 'upload-only'::text, 'reviewer'::text, 'admin'::text])))
);

ALTER TABLE public.account ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.account_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.account_membership (
    account_id bigint NOT NULL,
    group_name text NOT NULL,
    CONSTRAINT account_membership_group_name_check CHECK ((group_name <> ''::text))
);

CREATE TABLE public.advisory (
    id text NOT NULL,
    project text NOT NULL,
    malicious boolean NOT NULL,
    summary text NOT NULL,
    versions text[] DEFAULT '{}'::text[] NOT NULL,
    ranges jsonb DEFAULT '[]'::jsonb NOT NULL,
    modified timestamp with time zone,
    withdrawn_at timestamp with time zone,
    pending boolean DEFAULT false NOT NULL
);

CREATE TABLE public.advisory_feed (
    only_row boolean DEFAULT true NOT NULL,
    read_at timestamp with time zone,
    tried_at timestamp with time zone,
    fault text,
    etag text,
    count integer DEFAULT 0 NOT NULL,
    CONSTRAINT advisory_feed_only_row_check CHECK (only_row)
);

CREATE TABLE public.alert (
    id bigint NOT NULL,
    serial bigint NOT NULL,
    kind text NOT NULL,
    project text,
    version text,
    filename text,
    detail jsonb DEFAULT '{}'::jsonb NOT NULL,
    at timestamp with time zone DEFAULT public.koschey_now() NOT NULL,
    sent_at timestamp with time zone
);

ALTER TABLE public.alert ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.alert_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.attestation (
    file_id bigint NOT NULL,
    object bytea NOT NULL,
    verdict text NOT NULL,
    detail text NOT NULL,
    publishers jsonb DEFAULT '[]'::jsonb NOT NULL,
    checked_at timestamp with time zone DEFAULT public.koschey_now() NOT NULL,
    url text,
    CONSTRAINT attestation_verdict_check CHECK ((verdict = ANY (ARRAY['verified'::text, 'refuted'::text, 'unverifiable'::text])))
);

CREATE TABLE public.check_run (
    file_id bigint NOT NULL,
    name text NOT NULL,
    sha256 text NOT NULL,
    fault text,
    tries integer DEFAULT 1 NOT NULL,
    at timestamp with time zone DEFAULT public.koschey_now() NOT NULL,
    CONSTRAINT check_run_sha256_check CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text))
);

CREATE TABLE public.rule (
    index_id smallint NOT NULL,
    kind text NOT NULL,
    project text NOT NULL,
    version text DEFAULT ''::text NOT NULL,
    reason text NOT NULL,
    actor text NOT NULL,
    at timestamp with time zone DEFAULT public.koschey_now() NOT NULL,
    subject text DEFAULT ''::text NOT NULL,
    value text DEFAULT ''::text NOT NULL,
    ticket text,
    expires_at timestamp with time zone,
    seconded_by text,
    CONSTRAINT rule_check CHECK (((kind <> 'exception'::text) OR ((project !~ '[*@]'::text) AND (version <> ''::text) AND (subject <> ''::text) AND (value ~ '^[0-9a-f]{64}$'::text) AND (expires_at IS NOT NULL)))),
    CONSTRAINT rule_kind_check CHECK ((kind = ANY (ARRAY['trusted'::text, 'blocked'::text, 'reserved'::text, 'exception'::text, 'window'::text, 'unknown-age'::text, 'first-seen'::text, 'withdrawn'::text, 'allowed-only'::text, 'attested'::text, 'check'::text, 'observed'::text, 'announced'::text, 'second-person'::text])))
);

CREATE VIEW public.closed_origin AS
 SELECT rule.index_id,
    closed.origin
   FROM (public.rule
     JOIN ( VALUES ('hosted'::text), ('mirrored'::text)) closed(origin) ON (((closed.origin = 'mirrored'::text) OR ((rule.kind = 'blocked'::text) AND (rule.project = '*'::text)))))
  WHERE ((rule.kind = ANY (ARRAY['blocked'::text, 'reserved'::text])) AND (rule.project = ANY (ARRAY['*'::text, '@upstream'::text])) AND (rule.version = ''::text) AND ((rule.expires_at IS NULL) OR (rule.expires_at > public.koschey_now())));

CREATE TABLE public.index (
    id smallint NOT NULL,
    name text NOT NULL
);

CREATE TABLE public.project (
    id bigint NOT NULL,
    name text NOT NULL,
    display_name text NOT NULL,
    origin text NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    status_reason text,
    serial bigint DEFAULT 0 NOT NULL,
    upstream_etag text,
    looked_at timestamp with time zone,
    summary text,
    absent_since timestamp with time zone,
    absence_looks smallint DEFAULT 0 NOT NULL,
    absence_due_at timestamp with time zone,
    recheck_at timestamp with time zone,
    left_out integer DEFAULT 0 NOT NULL,
    wanted boolean DEFAULT false NOT NULL,
    CONSTRAINT project_name_check CHECK ((name ~ '^[a-z0-9]+(-[a-z0-9]+)*$'::text)),
    CONSTRAINT project_origin_check CHECK ((origin = ANY (ARRAY['hosted'::text, 'mirrored'::text]))),
    CONSTRAINT project_status_check CHECK ((status = ANY (ARRAY['active'::text, 'archived'::text, 'quarantined'::text, 'deprecated'::text])))
);

CREATE VIEW public.closed_project AS
 SELECT index.id AS index_id,
    project.id AS project_id
   FROM (public.index
     CROSS JOIN public.project)
  WHERE (project.status = 'quarantined'::text)
UNION ALL
 SELECT rule.index_id,
    project.id AS project_id
   FROM (public.rule
     CROSS JOIN LATERAL public.projects_in_scope(rule.project) project(id, name, origin))
  WHERE ((rule.kind = ANY (ARRAY['blocked'::text, 'reserved'::text])) AND ((rule.kind = 'blocked'::text) OR (project.origin = 'mirrored'::text)) AND (rule.version = ''::text) AND ((rule.expires_at IS NULL) OR (rule.expires_at > public.koschey_now())) AND (rule.project <> ALL (ARRAY['*'::text, '@upstream'::text])));

CREATE VIEW public.closed_release AS
 SELECT rule.index_id,
    project.id AS project_id,
    rule.version
   FROM (public.rule
     JOIN public.project ON ((project.name = rule.project)))
  WHERE ((rule.kind = 'blocked'::text) AND (rule.version <> ''::text) AND ((rule.expires_at IS NULL) OR (rule.expires_at > public.koschey_now())));

CREATE TABLE public.content (
    file_id bigint NOT NULL,
    sha256 text NOT NULL,
    report jsonb NOT NULL,
    at timestamp with time zone DEFAULT public.koschey_now() NOT NULL
);

CREATE TABLE public.debut (
    index_id smallint NOT NULL,
    project_id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    releases integer DEFAULT 1 NOT NULL
);

CREATE TABLE public.decision (
    id bigint NOT NULL,
    serial bigint NOT NULL,
    index_id smallint NOT NULL,
    action text NOT NULL,
    project text NOT NULL,
    version text,
    filename text,
    sha256 text,
    actor text NOT NULL,
    door text NOT NULL,
    reason text NOT NULL,
    at timestamp with time zone DEFAULT public.koschey_now() NOT NULL,
    ticket text,
    seconded_by text,
    CONSTRAINT decision_action_check CHECK ((action = ANY (ARRAY['approve'::text, 'block'::text, 'unblock'::text, 'trust'::text, 'untrust'::text, 'extend'::text, 'except'::text, 'recall'::text, 'policy'::text]))),
    CONSTRAINT decision_check CHECK (((action <> 'approve'::text) OR ((version IS NOT NULL) AND (filename IS NOT NULL) AND (sha256 IS NOT NULL))))
);

ALTER TABLE public.decision ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.decision_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.download (
    id bigint NOT NULL,
    index_id smallint NOT NULL,
    file_id bigint NOT NULL,
    at timestamp with time zone DEFAULT public.koschey_now() NOT NULL,
    account text,
    token text,
    address text,
    user_agent text
);

ALTER TABLE public.download ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.download_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.file (
    id bigint NOT NULL,
    project_id bigint NOT NULL,
    version text NOT NULL,
    filename text NOT NULL,
    sha256 text,
    size bigint,
    upload_time timestamp with time zone,
    first_seen_at timestamp with time zone DEFAULT public.koschey_now() NOT NULL,
    stored_at timestamp with time zone,
    requires_python text,
    yanked text,
    core_metadata text,
    metadata_stored boolean DEFAULT false NOT NULL,
    upstream_url text,
    path text,
    absent_since timestamp with time zone,
    blake2b_256 text,
    md5 text,
    pkg_info text,
    metadata_error text,
    provenance_url text,
    damage text,
    metadata_damage text,
    broken_promise text,
    mismatched_at timestamp with time zone,
    absence_looks smallint DEFAULT 0 NOT NULL,
    absence_due_at timestamp with time zone,
    set_aside_at timestamp with time zone,
    CONSTRAINT file_check CHECK (((stored_at IS NULL) OR ((sha256 IS NOT NULL) AND (size IS NOT NULL) AND (path IS NOT NULL)))),
    CONSTRAINT file_md5_check CHECK ((md5 ~ '^[0-9a-f]{32}$'::text)),
    CONSTRAINT file_path_check CHECK ((path ~~ '/packages/%'::text)),
    CONSTRAINT file_pkg_info_check CHECK ((pkg_info ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT file_size_check CHECK ((size >= 0))
);

ALTER TABLE public.file ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.file_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.finding (
    id bigint NOT NULL,
    file_id bigint NOT NULL,
    name text NOT NULL,
    code text NOT NULL,
    severity text NOT NULL,
    summary text NOT NULL,
    evidence jsonb DEFAULT '{}'::jsonb NOT NULL,
    at timestamp with time zone DEFAULT public.koschey_now() NOT NULL,
    CONSTRAINT finding_severity_check CHECK ((severity = ANY (ARRAY['info'::text, 'warning'::text, 'serious'::text])))
);

ALTER TABLE public.finding ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.finding_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.forgotten_download (
    file_id bigint NOT NULL,
    account text NOT NULL,
    downloads bigint NOT NULL,
    first_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL
);

ALTER TABLE public.index ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.index_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.journal (
    serial bigint NOT NULL,
    at timestamp with time zone DEFAULT public.koschey_now() NOT NULL,
    actor text NOT NULL,
    door text NOT NULL,
    action text NOT NULL,
    project text,
    version text,
    filename text,
    detail jsonb DEFAULT '{}'::jsonb NOT NULL
);

CREATE TABLE public.journal_digest (
    serial bigint NOT NULL,
    digest bytea NOT NULL,
    CONSTRAINT journal_digest_digest_check CHECK ((octet_length(digest) = 32))
);

CREATE TABLE public.journal_head (
    only_row boolean DEFAULT true NOT NULL,
    serial bigint NOT NULL,
    at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    CONSTRAINT journal_head_only_row_check CHECK (only_row)
);

CREATE TABLE public.known_check (
    name text NOT NULL,
    codes jsonb NOT NULL,
    installed_at timestamp with time zone DEFAULT public.koschey_now() NOT NULL
);

CREATE TABLE public.lease (
    key text NOT NULL,
    holder text NOT NULL,
    until timestamp with time zone NOT NULL
);

CREATE TABLE public.left_out_file (
    project_id bigint NOT NULL,
    "position" smallint NOT NULL,
    name text NOT NULL,
    cause text NOT NULL
);

CREATE TABLE public.legal_move (
    from_state text NOT NULL,
    to_state text NOT NULL
);

CREATE UNLOGGED TABLE public.login_trace (
    kind text NOT NULL,
    subject text NOT NULL,
    until timestamp with time zone NOT NULL
);

CREATE TABLE public.migration (
    step integer NOT NULL,
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    digest text
);

CREATE TABLE public.origin_change (
    id bigint NOT NULL,
    project_id bigint NOT NULL,
    origin text NOT NULL,
    actor text NOT NULL,
    door text NOT NULL,
    reason text NOT NULL,
    files bigint NOT NULL,
    downloaded_files bigint NOT NULL,
    downloads bigint NOT NULL,
    machines bigint NOT NULL,
    at timestamp with time zone DEFAULT public.koschey_now() NOT NULL,
    transaction xid8 DEFAULT pg_current_xact_id() NOT NULL,
    CONSTRAINT origin_change_origin_check CHECK ((origin = ANY (ARRAY['hosted'::text, 'mirrored'::text])))
);

ALTER TABLE public.origin_change ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.origin_change_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.outbox (
    id bigint NOT NULL,
    key text NOT NULL,
    kind text NOT NULL,
    payload jsonb NOT NULL,
    due_at timestamp with time zone DEFAULT public.koschey_now() NOT NULL,
    revision bigint DEFAULT 0 NOT NULL,
    first_due_at timestamp with time zone DEFAULT public.koschey_now() NOT NULL
);

ALTER TABLE public.outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.pending_upload (
    sha256 text NOT NULL,
    metadata text NOT NULL,
    project text NOT NULL,
    holder text NOT NULL,
    until timestamp with time zone NOT NULL,
    discarded boolean DEFAULT false NOT NULL,
    CONSTRAINT pending_upload_metadata_check CHECK ((metadata ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT pending_upload_sha256_check CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text))
);

ALTER TABLE public.project ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.project_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.proposal (
    id bigint NOT NULL,
    index_id smallint NOT NULL,
    action text NOT NULL,
    project text NOT NULL,
    version text DEFAULT ''::text NOT NULL,
    digests text[] NOT NULL,
    reason text NOT NULL,
    ticket text,
    expires_at timestamp with time zone,
    actor text NOT NULL,
    door text NOT NULL,
    at timestamp with time zone DEFAULT public.koschey_now() NOT NULL,
    closed_at timestamp with time zone,
    closed_by text
);

ALTER TABLE public.proposal ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.proposal_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.provenance (
    file_id bigint NOT NULL,
    record text NOT NULL,
    at timestamp with time zone DEFAULT public.koschey_now() NOT NULL
);

CREATE TABLE public.request (
    id bigint NOT NULL,
    index_id smallint NOT NULL,
    project text NOT NULL,
    version text NOT NULL,
    who text NOT NULL,
    reason text NOT NULL,
    times integer DEFAULT 1 NOT NULL,
    at timestamp with time zone DEFAULT public.koschey_now() NOT NULL,
    last_at timestamp with time zone DEFAULT public.koschey_now() NOT NULL,
    answered_at timestamp with time zone
);

ALTER TABLE public.request ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.request_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.reviewer_code (
    digest text NOT NULL,
    reviewer text NOT NULL,
    door text NOT NULL,
    choice text NOT NULL,
    days double precision,
    issued_at timestamp with time zone DEFAULT public.koschey_now() NOT NULL,
    CONSTRAINT reviewer_code_choice_check CHECK ((choice = ANY (ARRAY['approve'::text, 'block'::text, 'extend'::text]))),
    CONSTRAINT reviewer_code_digest_check CHECK ((digest ~ '^[0-9a-f]{64}$'::text))
);

CREATE TABLE public.reviewer_code_release (
    digest text NOT NULL,
    index_id smallint NOT NULL,
    project text NOT NULL,
    version text NOT NULL,
    shown text NOT NULL,
    used_at timestamp with time zone,
    answer text,
    CONSTRAINT reviewer_code_release_shown_check CHECK ((shown ~ '^[0-9a-f]{64}$'::text))
);

CREATE TABLE public.role_grant (
    id bigint NOT NULL,
    account_id bigint,
    group_name text,
    role text NOT NULL,
    index_id smallint,
    scope text DEFAULT '*'::text NOT NULL,
    granted_at timestamp with time zone DEFAULT public.koschey_now() NOT NULL,
    granted_by text NOT NULL,
    CONSTRAINT role_grant_check CHECK ((num_nonnulls(account_id, group_name) = 1)),
    CONSTRAINT role_grant_group_name_check CHECK ((group_name <> ''::text)),
    CONSTRAINT role_grant_role_check CHECK ((role = ANY (ARRAY['reader'::text, 'uploader'::text, 'maintainer'::text, 'reviewer'::text, 'auditor'::text, 'admin'::text]))),
    CONSTRAINT role_grant_scope_check CHECK ((scope <> ''::text))
);

ALTER TABLE public.role_grant ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.role_grant_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.security_fix (
    index_id smallint NOT NULL,
    project_id bigint NOT NULL,
    version text NOT NULL,
    downloads bigint NOT NULL,
    fixes jsonb NOT NULL
);

CREATE TABLE public.standing (
    index_id smallint NOT NULL,
    file_id bigint NOT NULL,
    state text NOT NULL,
    reason text NOT NULL,
    release_at timestamp with time zone,
    available_at timestamp with time zone,
    changed_at timestamp with time zone DEFAULT public.koschey_now() NOT NULL,
    counts_from timestamp with time zone,
    held_until timestamp with time zone,
    withdrawn_at timestamp with time zone,
    state_before text,
    cause text DEFAULT 'unknown'::text NOT NULL,
    cause_subject text DEFAULT ''::text NOT NULL,
    cause_scope text DEFAULT ''::text NOT NULL,
    cause_version text,
    cause_transaction xid8,
    CONSTRAINT standing_cause_check CHECK ((cause = ANY (ARRAY['time'::text, 'decision'::text, 'rule'::text, 'reservation'::text, 'advisory'::text, 'check'::text, 'upstream'::text, 'archive'::text, 'filename'::text, 'upload'::text, 'status'::text, 'removal'::text, 'origin'::text, 'unknown'::text]))),
    CONSTRAINT standing_state_before_check CHECK ((state_before = ANY (ARRAY['held'::text, 'released'::text, 'blocked'::text, 'malformed'::text, 'conflict'::text, 'removed'::text]))),
    CONSTRAINT standing_state_check CHECK ((state = ANY (ARRAY['held'::text, 'released'::text, 'blocked'::text, 'malformed'::text, 'conflict'::text, 'removed'::text])))
);

CREATE VIEW public.served_file AS
 SELECT standing.index_id,
    standing.available_at,
    project.name AS project,
    file.id AS file_id,
    file.project_id,
    file.version,
    file.filename,
    file.size,
    file.upload_time,
    file.yanked
   FROM ((public.standing
     JOIN public.file ON ((file.id = standing.file_id)))
     JOIN public.project ON ((project.id = file.project_id)))
  WHERE ((file.set_aside_at IS NULL) AND ((standing.state = 'released'::text) OR ((standing.state = 'held'::text) AND (file.sha256 IS NOT NULL) AND (file.path IS NOT NULL) AND (EXISTS ( SELECT
           FROM public.rule
          WHERE ((rule.index_id = standing.index_id) AND (rule.kind = ANY (ARRAY['observed'::text, 'exception'::text])) AND ((rule.expires_at IS NULL) OR (rule.expires_at > public.koschey_now())) AND public.in_scope(rule.project, project.name, project.origin) AND ((rule.version = ''::text) OR (rule.version = file.version)) AND ((rule.kind = 'observed'::text) OR ((rule.subject = file.filename) AND (rule.value = file.sha256) AND ((file.absent_since IS NULL) OR (file.absence_due_at IS NOT NULL))))))))) AND (NOT ((standing.index_id, project.origin) IN ( SELECT closed_origin.index_id,
            closed_origin.origin
           FROM public.closed_origin))) AND (NOT ((standing.index_id, file.project_id) IN ( SELECT closed_project.index_id,
            closed_project.project_id
           FROM public.closed_project))) AND (NOT ((standing.index_id, file.project_id, file.version) IN ( SELECT closed_release.index_id,
            closed_release.project_id,
            closed_release.version
           FROM public.closed_release))));

CREATE TABLE public.session (
    id_sha256 text NOT NULL,
    account_id bigint NOT NULL,
    created_at timestamp with time zone DEFAULT public.koschey_now() NOT NULL,
    seen_at timestamp with time zone DEFAULT public.koschey_now() NOT NULL,
    notice text,
    CONSTRAINT session_id_sha256_check CHECK ((id_sha256 ~ '^[0-9a-f]{64}$'::text))
);

CREATE TABLE public.token (
    id text NOT NULL,
    account_id bigint NOT NULL,
    secret_sha256 text NOT NULL,
    description text NOT NULL,
    created_at timestamp with time zone DEFAULT public.koschey_now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    actions text[],
    scopes text[],
    index_id smallint,
    created_by text,
    last_used_at timestamp with time zone,
    last_used_from text
);

CREATE TABLE public.upload_switch (
    index_id smallint NOT NULL,
    name text NOT NULL,
    enabled boolean NOT NULL,
    reason text NOT NULL,
    actor text NOT NULL,
    at timestamp with time zone DEFAULT public.koschey_now() NOT NULL
);

CREATE TABLE public.worker (
    name text NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    temporal_at timestamp with time zone
);

ALTER TABLE ONLY public.account_grant
    ADD CONSTRAINT account_grant_pkey PRIMARY KEY (account_id, role, scope);

ALTER TABLE ONLY public.account_membership
    ADD CONSTRAINT account_membership_pkey PRIMARY KEY (account_id, group_name);

ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_name_key UNIQUE (name);

ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.advisory_feed
    ADD CONSTRAINT advisory_feed_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY public.advisory
    ADD CONSTRAINT advisory_pkey PRIMARY KEY (id, project);

ALTER TABLE ONLY public.alert
    ADD CONSTRAINT alert_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.attestation
    ADD CONSTRAINT attestation_pkey PRIMARY KEY (file_id);

ALTER TABLE ONLY public.check_run
    ADD CONSTRAINT check_run_pkey PRIMARY KEY (file_id, name);

ALTER TABLE ONLY public.content
    ADD CONSTRAINT content_pkey PRIMARY KEY (file_id);

ALTER TABLE ONLY public.debut
    ADD CONSTRAINT debut_pkey PRIMARY KEY (index_id, project_id);

ALTER TABLE ONLY public.decision
    ADD CONSTRAINT decision_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.download
    ADD CONSTRAINT download_pkey PRIMARY KEY (id);

ALTER TABLE public.file
    ADD CONSTRAINT file_blake2b_256_check CHECK (((length(blake2b_256) = 64) AND (blake2b_256 !~ '[^0-9a-f]'::text))) NOT VALID;

ALTER TABLE public.file
    ADD CONSTRAINT file_broken_promise_check CHECK ((broken_promise ~ '^[0-9a-f]{64}$'::text)) NOT VALID;

ALTER TABLE public.file
    ADD CONSTRAINT file_core_metadata_check CHECK (((length(core_metadata) = 64) AND (core_metadata !~ '[^0-9a-f]'::text))) NOT VALID;

ALTER TABLE public.file
    ADD CONSTRAINT file_damage_check CHECK ((damage = ANY (ARRAY['missing'::text, 'altered'::text]))) NOT VALID;

ALTER TABLE public.file
    ADD CONSTRAINT file_metadata_damage_check CHECK ((metadata_damage = ANY (ARRAY['missing'::text, 'altered'::text]))) NOT VALID;

ALTER TABLE ONLY public.file
    ADD CONSTRAINT file_pkey PRIMARY KEY (id);

ALTER TABLE public.file
    ADD CONSTRAINT file_sha256_check CHECK (((length(sha256) = 64) AND (sha256 !~ '[^0-9a-f]'::text))) NOT VALID;

ALTER TABLE ONLY public.finding
    ADD CONSTRAINT finding_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.forgotten_download
    ADD CONSTRAINT forgotten_download_pkey PRIMARY KEY (file_id, account);

ALTER TABLE ONLY public.index
    ADD CONSTRAINT index_name_key UNIQUE (name);

ALTER TABLE ONLY public.index
    ADD CONSTRAINT index_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.journal_digest
    ADD CONSTRAINT journal_digest_pkey PRIMARY KEY (serial);

ALTER TABLE ONLY public.journal_head
    ADD CONSTRAINT journal_head_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY public.journal
    ADD CONSTRAINT journal_pkey PRIMARY KEY (serial);

ALTER TABLE ONLY public.known_check
    ADD CONSTRAINT known_check_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.lease
    ADD CONSTRAINT lease_pkey PRIMARY KEY (key);

ALTER TABLE ONLY public.left_out_file
    ADD CONSTRAINT left_out_file_pkey PRIMARY KEY (project_id, "position");

ALTER TABLE ONLY public.legal_move
    ADD CONSTRAINT legal_move_pkey PRIMARY KEY (from_state, to_state);

ALTER TABLE ONLY public.login_trace
    ADD CONSTRAINT login_trace_pkey PRIMARY KEY (kind, subject);

ALTER TABLE ONLY public.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (step);

ALTER TABLE ONLY public.origin_change
    ADD CONSTRAINT origin_change_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_key_key UNIQUE (key);

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.pending_upload
    ADD CONSTRAINT pending_upload_pkey PRIMARY KEY (sha256);

ALTER TABLE ONLY public.project
    ADD CONSTRAINT project_name_key UNIQUE (name);

ALTER TABLE ONLY public.project
    ADD CONSTRAINT project_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.proposal
    ADD CONSTRAINT proposal_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.provenance
    ADD CONSTRAINT provenance_pkey PRIMARY KEY (file_id);

ALTER TABLE ONLY public.request
    ADD CONSTRAINT request_index_id_project_version_who_key UNIQUE (index_id, project, version, who);

ALTER TABLE ONLY public.request
    ADD CONSTRAINT request_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.reviewer_code
    ADD CONSTRAINT reviewer_code_pkey PRIMARY KEY (digest);

ALTER TABLE ONLY public.reviewer_code_release
    ADD CONSTRAINT reviewer_code_release_pkey PRIMARY KEY (digest, index_id, project, version);

ALTER TABLE ONLY public.role_grant
    ADD CONSTRAINT role_grant_account_id_group_name_role_index_id_scope_key UNIQUE NULLS NOT DISTINCT (account_id, group_name, role, index_id, scope);

ALTER TABLE ONLY public.role_grant
    ADD CONSTRAINT role_grant_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.rule
    ADD CONSTRAINT rule_pkey PRIMARY KEY (index_id, kind, project, version, subject);

ALTER TABLE ONLY public.security_fix
    ADD CONSTRAINT security_fix_pkey PRIMARY KEY (index_id, project_id, version);

ALTER TABLE ONLY public.session
    ADD CONSTRAINT session_pkey PRIMARY KEY (id_sha256);

ALTER TABLE ONLY public.standing
    ADD CONSTRAINT standing_pkey PRIMARY KEY (index_id, file_id);

ALTER TABLE ONLY public.token
    ADD CONSTRAINT token_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.upload_switch
    ADD CONSTRAINT upload_switch_pkey PRIMARY KEY (index_id, name);

ALTER TABLE ONLY public.worker
    ADD CONSTRAINT worker_pkey PRIMARY KEY (name);

CREATE INDEX account_membership_group ON public.account_membership USING btree (group_name);

CREATE INDEX advisory_pending ON public.advisory USING btree (project) WHERE pending;

CREATE INDEX advisory_project ON public.advisory USING btree (project);

CREATE INDEX alert_newest ON public.alert USING btree (at DESC);

CREATE INDEX debut_newest ON public.debut USING btree (index_id, at DESC, project_id DESC);

CREATE INDEX debut_releases ON public.debut USING btree (index_id, releases DESC, project_id);

CREATE INDEX decision_project ON public.decision USING btree (project, version);

CREATE INDEX download_file ON public.download USING btree (file_id, at);

CREATE UNIQUE INDEX file_name_once ON public.file USING btree (project_id, filename) WHERE (set_aside_at IS NULL);

CREATE INDEX file_path ON public.file USING btree (path);

CREATE UNIQUE INDEX file_path_once ON public.file USING btree (path) WHERE (set_aside_at IS NULL);

CREATE INDEX file_release ON public.file USING btree (project_id, version);

CREATE INDEX file_set_aside ON public.file USING btree (project_id, filename) WHERE (set_aside_at IS NOT NULL);

CREATE INDEX file_suspected ON public.file USING btree (project_id) WHERE (absence_due_at IS NOT NULL);

CREATE INDEX finding_file ON public.finding USING btree (file_id);

CREATE INDEX journal_project ON public.journal USING btree (project, serial);

CREATE INDEX login_trace_until ON public.login_trace USING btree (until);

CREATE INDEX origin_change_project ON public.origin_change USING btree (project_id);

CREATE INDEX outbox_due ON public.outbox USING btree (due_at, id);

CREATE INDEX outbox_first_due ON public.outbox USING btree (first_due_at);

CREATE INDEX pending_upload_metadata ON public.pending_upload USING btree (metadata);

CREATE INDEX project_hosted ON public.project USING btree (id) WHERE (origin = 'hosted'::text);

CREATE INDEX project_lookalike ON public.project USING btree (translate(name, 'lio-'::text, '110'::text));

CREATE INDEX project_name_bytes ON public.project USING btree (name COLLATE "C");

CREATE INDEX project_quarantined ON public.project USING btree (id) WHERE (status = 'quarantined'::text);

CREATE INDEX project_recheck ON public.project USING btree (recheck_at) WHERE (recheck_at IS NOT NULL);

CREATE INDEX project_serial ON public.project USING btree (serial);

CREATE INDEX project_stale ON public.project USING btree (wanted, COALESCE(looked_at, '-infinity'::timestamp with time zone), id) WHERE (origin = 'mirrored'::text);

CREATE UNIQUE INDEX proposal_open ON public.proposal USING btree (index_id, action, project, version) WHERE (closed_at IS NULL);

CREATE INDEX reviewer_code_issued ON public.reviewer_code USING btree (issued_at);

CREATE INDEX role_grant_group ON public.role_grant USING btree (group_name) WHERE (group_name IS NOT NULL);

CREATE INDEX rule_expiry ON public.rule USING btree (expires_at) WHERE (expires_at IS NOT NULL);

CREATE INDEX rule_pattern ON public.rule USING btree (index_id, kind) WHERE (("right"(project, 2) = '-*'::text) OR (project = ANY (ARRAY['*'::text, '@upstream'::text])));

CREATE INDEX security_fix_first ON public.security_fix USING btree (index_id, downloads DESC, project_id, version);

CREATE INDEX session_account ON public.session USING btree (account_id);

CREATE INDEX standing_newest ON public.standing USING btree (index_id, available_at DESC, file_id DESC) WHERE (state = 'released'::text);

CREATE INDEX standing_pending ON public.standing USING btree (index_id, COALESCE(release_at, 'infinity'::timestamp with time zone), file_id) WHERE (state = ANY (ARRAY['held'::text, 'conflict'::text, 'malformed'::text]));

CREATE INDEX standing_unreleased ON public.standing USING btree (index_id, state, file_id) WHERE (state <> 'released'::text);

CREATE INDEX token_account ON public.token USING btree (account_id);

CREATE TRIGGER account_changed AFTER DELETE OR UPDATE OF name, password_hash, disabled_at ON public.account FOR EACH STATEMENT EXECUTE FUNCTION public.notify_account();

CREATE TRIGGER debut_by_insert AFTER INSERT ON public.standing REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.note_debut();

CREATE TRIGGER debut_by_update AFTER UPDATE ON public.standing REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.note_debut();

CREATE TRIGGER download_is_never_emptied BEFORE TRUNCATE ON public.download FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_delete();

CREATE TRIGGER download_is_noted_when_forgotten AFTER DELETE ON public.download REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION public.note_forgotten();

CREATE TRIGGER file_has_project AFTER INSERT ON public.file REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_orphan_files();

CREATE TRIGGER file_is_never_deleted BEFORE DELETE ON public.file FOR EACH ROW EXECUTE FUNCTION public.refuse_delete();

CREATE TRIGGER file_is_never_emptied BEFORE TRUNCATE ON public.file FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_delete();

CREATE TRIGGER file_keeps_digest BEFORE UPDATE OF sha256 ON public.file FOR EACH ROW EXECUTE FUNCTION public.keep_digest();

CREATE TRIGGER file_keeps_project BEFORE UPDATE OF project_id ON public.file FOR EACH ROW WHEN ((new.project_id IS DISTINCT FROM old.project_id)) EXECUTE FUNCTION public.refuse_other_owner();

CREATE TRIGGER forgotten_download_is_never_deleted BEFORE DELETE ON public.forgotten_download FOR EACH ROW EXECUTE FUNCTION public.refuse_delete();

CREATE TRIGGER forgotten_download_is_never_emptied BEFORE TRUNCATE ON public.forgotten_download FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_delete();

CREATE TRIGGER grant_changed AFTER INSERT OR DELETE OR UPDATE ON public.role_grant FOR EACH STATEMENT EXECUTE FUNCTION public.notify_account();

CREATE TRIGGER index_is_never_deleted BEFORE DELETE ON public.index FOR EACH ROW EXECUTE FUNCTION public.refuse_delete();

CREATE TRIGGER index_is_never_emptied BEFORE TRUNCATE ON public.index FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_delete();

CREATE TRIGGER journal_digest_is_append_only BEFORE DELETE OR UPDATE ON public.journal_digest FOR EACH ROW EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER journal_digest_is_never_emptied BEFORE TRUNCATE ON public.journal_digest FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER journal_is_append_only BEFORE DELETE OR UPDATE ON public.journal FOR EACH ROW EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER journal_is_chained AFTER INSERT ON public.journal REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.chain_journal();

CREATE TRIGGER journal_is_never_emptied BEFORE TRUNCATE ON public.journal FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER membership_changed AFTER INSERT OR DELETE OR UPDATE ON public.account_membership FOR EACH STATEMENT EXECUTE FUNCTION public.notify_account();

CREATE TRIGGER origin_change_is_append_only BEFORE DELETE OR UPDATE ON public.origin_change FOR EACH ROW EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER origin_change_is_never_emptied BEFORE TRUNCATE ON public.origin_change FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER project_is_never_deleted BEFORE DELETE ON public.project FOR EACH ROW EXECUTE FUNCTION public.refuse_delete();

CREATE TRIGGER project_is_never_emptied BEFORE TRUNCATE ON public.project FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_delete();

CREATE TRIGGER project_keeps_name BEFORE UPDATE OF name, origin ON public.project FOR EACH ROW EXECUTE FUNCTION public.keep_name();

CREATE TRIGGER provenance_is_immutable BEFORE DELETE OR UPDATE ON public.provenance FOR EACH ROW EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER standing_forgets_cause BEFORE UPDATE OF state, reason ON public.standing FOR EACH ROW EXECUTE FUNCTION public.forget_cause();

CREATE TRIGGER standing_forgets_withdrawal BEFORE UPDATE OF state ON public.standing FOR EACH ROW EXECUTE FUNCTION public.forget_withdrawal();

CREATE TRIGGER standing_has_file AFTER INSERT ON public.standing REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_orphan_standings();

CREATE TRIGGER standing_is_never_deleted BEFORE DELETE ON public.standing FOR EACH ROW EXECUTE FUNCTION public.refuse_delete();

CREATE TRIGGER standing_is_never_emptied BEFORE TRUNCATE ON public.standing FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_delete();

CREATE TRIGGER standing_keeps_file BEFORE UPDATE OF index_id, file_id ON public.standing FOR EACH ROW WHEN (((new.index_id IS DISTINCT FROM old.index_id) OR (new.file_id IS DISTINCT FROM old.file_id))) EXECUTE FUNCTION public.refuse_other_owner();

CREATE TRIGGER standing_moves_legally BEFORE UPDATE OF state ON public.standing FOR EACH ROW EXECUTE FUNCTION public.refuse_illegal_move();

CREATE TRIGGER token_changed AFTER DELETE OR UPDATE OF account_id, secret_sha256, expires_at, revoked_at, actions, scopes, index_id ON public.token FOR EACH STATEMENT EXECUTE FUNCTION public.notify_account();

ALTER TABLE ONLY public.account_grant
    ADD CONSTRAINT account_grant_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.account_membership
    ADD CONSTRAINT account_membership_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(id);

ALTER TABLE ONLY public.alert
    ADD CONSTRAINT alert_serial_fkey FOREIGN KEY (serial) REFERENCES public.journal(serial);

ALTER TABLE ONLY public.attestation
    ADD CONSTRAINT attestation_file_id_fkey FOREIGN KEY (file_id) REFERENCES public.file(id);

ALTER TABLE ONLY public.check_run
    ADD CONSTRAINT check_run_file_id_fkey FOREIGN KEY (file_id) REFERENCES public.file(id);

ALTER TABLE ONLY public.content
    ADD CONSTRAINT content_file_id_fkey FOREIGN KEY (file_id) REFERENCES public.file(id);

ALTER TABLE ONLY public.debut
    ADD CONSTRAINT debut_index_id_fkey FOREIGN KEY (index_id) REFERENCES public.index(id);

ALTER TABLE ONLY public.debut
    ADD CONSTRAINT debut_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.project(id);

ALTER TABLE ONLY public.decision
    ADD CONSTRAINT decision_index_id_fkey FOREIGN KEY (index_id) REFERENCES public.index(id);

ALTER TABLE ONLY public.decision
    ADD CONSTRAINT decision_serial_fkey FOREIGN KEY (serial) REFERENCES public.journal(serial);

ALTER TABLE ONLY public.download
    ADD CONSTRAINT download_file_id_fkey FOREIGN KEY (file_id) REFERENCES public.file(id);

ALTER TABLE ONLY public.download
    ADD CONSTRAINT download_index_id_fkey FOREIGN KEY (index_id) REFERENCES public.index(id);

ALTER TABLE ONLY public.finding
    ADD CONSTRAINT finding_file_id_fkey FOREIGN KEY (file_id) REFERENCES public.file(id);

ALTER TABLE ONLY public.forgotten_download
    ADD CONSTRAINT forgotten_download_file_id_fkey FOREIGN KEY (file_id) REFERENCES public.file(id);

ALTER TABLE ONLY public.left_out_file
    ADD CONSTRAINT left_out_file_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.project(id);

ALTER TABLE ONLY public.origin_change
    ADD CONSTRAINT origin_change_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.project(id);

ALTER TABLE ONLY public.proposal
    ADD CONSTRAINT proposal_index_id_fkey FOREIGN KEY (index_id) REFERENCES public.index(id);

ALTER TABLE ONLY public.provenance
    ADD CONSTRAINT provenance_file_id_fkey FOREIGN KEY (file_id) REFERENCES public.file(id);

ALTER TABLE ONLY public.request
    ADD CONSTRAINT request_index_id_fkey FOREIGN KEY (index_id) REFERENCES public.index(id);

ALTER TABLE ONLY public.reviewer_code_release
    ADD CONSTRAINT reviewer_code_release_digest_fkey FOREIGN KEY (digest) REFERENCES public.reviewer_code(digest) ON DELETE CASCADE;

ALTER TABLE ONLY public.reviewer_code_release
    ADD CONSTRAINT reviewer_code_release_index_id_fkey FOREIGN KEY (index_id) REFERENCES public.index(id);

ALTER TABLE ONLY public.role_grant
    ADD CONSTRAINT role_grant_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(id);

ALTER TABLE ONLY public.role_grant
    ADD CONSTRAINT role_grant_index_id_fkey FOREIGN KEY (index_id) REFERENCES public.index(id);

ALTER TABLE ONLY public.rule
    ADD CONSTRAINT rule_index_id_fkey FOREIGN KEY (index_id) REFERENCES public.index(id);

ALTER TABLE ONLY public.security_fix
    ADD CONSTRAINT security_fix_index_id_fkey FOREIGN KEY (index_id) REFERENCES public.index(id);

ALTER TABLE ONLY public.security_fix
    ADD CONSTRAINT security_fix_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.project(id);

ALTER TABLE ONLY public.session
    ADD CONSTRAINT session_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.token
    ADD CONSTRAINT token_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.token
    ADD CONSTRAINT token_index_id_fkey FOREIGN KEY (index_id) REFERENCES public.index(id);

ALTER TABLE ONLY public.upload_switch
    ADD CONSTRAINT upload_switch_index_id_fkey FOREIGN KEY (index_id) REFERENCES public.index(id);
