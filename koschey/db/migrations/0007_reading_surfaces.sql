-- What lists that span many projects need: feeds, search, the changelog, statistics.

CREATE INDEX project_quarantined ON project (id) WHERE status = 'quarantined';
-- In the order of bytes, so that all names that begin alike stand together.
CREATE INDEX project_name_bytes ON project (name COLLATE "C");

-- Projects of which an index serves no file, and releases: the rules of `policy.verdict`. A test keeps both alike.
-- They are few, found by indexes, and excluded as a whole; asking about each of many files would take long.
CREATE VIEW closed_project AS
    SELECT index.id AS index_id, project.id AS project_id
      FROM index CROSS JOIN project
     WHERE project.status = 'quarantined'
    UNION ALL
    SELECT rule.index_id, project.id
      FROM rule JOIN project ON project.name = rule.project
     WHERE rule.kind = 'blocked' AND rule.version = ''
    UNION ALL
    SELECT rule.index_id, project.id
      FROM rule JOIN project
        ON project.name = CASE WHEN right(rule.project, 2) = '-*' THEN left(rule.project, -2) ELSE rule.project END
     WHERE rule.kind = 'reserved' AND project.origin = 'mirrored'
    UNION ALL
    -- '.' is the byte after '-'.
    SELECT rule.index_id, project.id
      FROM rule JOIN project
        ON project.name COLLATE "C" >= left(rule.project, -1) AND project.name COLLATE "C" < left(rule.project, -2) || '.'
     WHERE rule.kind = 'reserved' AND right(rule.project, 2) = '-*' AND project.origin = 'mirrored';
CREATE VIEW closed_release AS
    SELECT rule.index_id, project.id AS project_id, rule.version
      FROM rule JOIN project ON project.name = rule.project
     WHERE rule.kind = 'blocked' AND rule.version <> '';

-- Files that an index serves, for where there are too many to judge one by one.
CREATE VIEW served_file AS
    SELECT standing.index_id, standing.available_at, project.name AS project, file.id AS file_id,
           file.project_id, file.version, file.filename, file.size, file.upload_time, file.yanked
      FROM standing
      JOIN file ON file.id = standing.file_id
      JOIN project ON project.id = file.project_id
     WHERE standing.state = 'released'
       AND (standing.index_id, file.project_id) NOT IN (SELECT index_id, project_id FROM closed_project)
       AND (standing.index_id, file.project_id, file.version)
           NOT IN (SELECT index_id, project_id, version FROM closed_release);

CREATE INDEX file_release ON file (project_id, version);
CREATE INDEX standing_newest ON standing (index_id, available_at DESC, file_id DESC) WHERE state = 'released';

-- When an index began to serve a project; written once. To find the newest among all files would read them all.
CREATE TABLE debut (
    index_id   smallint NOT NULL REFERENCES index,
    project_id bigint NOT NULL REFERENCES project,
    at         timestamptz NOT NULL,
    PRIMARY KEY (index_id, project_id)
);
CREATE INDEX debut_newest ON debut (index_id, at DESC, project_id DESC);
INSERT INTO debut (index_id, project_id, at)
    SELECT standing.index_id, file.project_id, min(standing.available_at)
      FROM standing JOIN file ON file.id = standing.file_id
     WHERE standing.state = 'released' AND standing.available_at IS NOT NULL
     GROUP BY standing.index_id, file.project_id;

CREATE FUNCTION note_debut() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO debut (index_id, project_id, at)
        SELECT changed.index_id, file.project_id, min(changed.available_at)
          FROM changed JOIN file ON file.id = changed.file_id
         WHERE changed.state = 'released' AND changed.available_at IS NOT NULL
         GROUP BY changed.index_id, file.project_id
        ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
-- Once a statement, not once a row: a project's first page may bring thousands of files.
CREATE TRIGGER debut_by_insert AFTER INSERT ON standing REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_debut();
CREATE TRIGGER debut_by_update AFTER UPDATE ON standing REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_debut();
