-- What an upstream lists no more, and what of its pages is left out here.

-- An absence is suspected while a look is due, and confirmed once none is. What earlier code wrote, a moment and no look
-- that is due, counts as confirmed: that code asked for no second look. It goes on running while this is applied, and
-- clears only the moment; without one, the other columns mean nothing.
ALTER TABLE file ADD COLUMN absence_looks smallint NOT NULL DEFAULT 0;
ALTER TABLE file ADD COLUMN absence_due_at timestamptz;
CREATE INDEX file_suspected ON file (project_id) WHERE absence_due_at IS NOT NULL;

-- The same of a project's page. `recheck_at` is when the next look is due, at the page or at any file that it lacks.
ALTER TABLE project ADD COLUMN absent_since timestamptz;
ALTER TABLE project ADD COLUMN absence_looks smallint NOT NULL DEFAULT 0;
ALTER TABLE project ADD COLUMN absence_due_at timestamptz;
ALTER TABLE project ADD COLUMN recheck_at timestamptz;
CREATE INDEX project_recheck ON project (recheck_at) WHERE recheck_at IS NOT NULL;

-- When a released file was blocked because its upstream withdrew it, and for no other reason: if the upstream lists it
-- again as it was, it is released again. Every other move forgets it, whatever code makes the move.
ALTER TABLE standing ADD COLUMN withdrawn_at timestamptz;
CREATE FUNCTION forget_withdrawal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> OLD.state AND NEW.withdrawn_at IS NOT DISTINCT FROM OLD.withdrawn_at THEN
        NEW.withdrawn_at := NULL;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER standing_forgets_withdrawal BEFORE UPDATE OF state ON standing
    FOR EACH ROW EXECUTE FUNCTION forget_withdrawal();

-- Files that a page lists and that are no rows here, as its last reading found them: the first of them, and how many.
ALTER TABLE project ADD COLUMN left_out integer NOT NULL DEFAULT 0;
CREATE TABLE left_out_file (
    project_id bigint NOT NULL REFERENCES project,
    position   smallint NOT NULL,
    name       text NOT NULL,
    cause      text NOT NULL,
    PRIMARY KEY (project_id, position)
);

-- An exception serves a held file until its absence is confirmed: one look is no verdict.
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
                       AND (file.absent_since IS NULL OR file.absence_due_at IS NOT NULL))));
