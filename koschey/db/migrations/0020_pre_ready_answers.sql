-- Outside a transaction.
-- Answers that are kept ready: the held security fixes, and the number of releases of each project. The columns and the
-- tables are new, so no row is rewritten; the worker fills them, in portions.
--
-- The number of versions of a project that are released. 1 until the follower of the upstream has counted them.
ALTER TABLE debut ADD COLUMN IF NOT EXISTS releases integer NOT NULL DEFAULT 1;

-- An index that an interrupted build left invalid is dropped first.
DROP INDEX CONCURRENTLY IF EXISTS debut_releases;

CREATE INDEX CONCURRENTLY debut_releases ON debut (index_id, releases DESC, project_id);

DROP INDEX CONCURRENTLY IF EXISTS project_hosted;

CREATE INDEX CONCURRENTLY project_hosted ON project (id) WHERE origin = 'hosted';

-- A held release that fixes what advisories say about versions which clients downloaded here. Only a holder of the
-- project's lock writes its rows. A row may outlast the hold of its release; readers join it with the held files.
CREATE TABLE IF NOT EXISTS security_fix (
    index_id   smallint NOT NULL REFERENCES index (id),
    project_id bigint NOT NULL REFERENCES project (id),
    version    text NOT NULL,
    -- How often clients downloaded the affected versions of the first of its advisories.
    downloads  bigint NOT NULL,
    -- For each advisory: {"advisory": id, "versions": [affected ones, the oldest first], "downloads": number}.
    fixes      jsonb NOT NULL,
    PRIMARY KEY (index_id, project_id, version)
);

DROP INDEX CONCURRENTLY IF EXISTS security_fix_first;

CREATE INDEX CONCURRENTLY security_fix_first ON security_fix (index_id, downloads DESC, project_id, version);
