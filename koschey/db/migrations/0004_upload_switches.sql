-- Which of the rules for uploads an index applies; where there is no row, the rule's own default counts.
CREATE TABLE upload_switch (
    index_id smallint NOT NULL REFERENCES index,
    name     text NOT NULL,
    enabled  boolean NOT NULL,
    reason   text NOT NULL,
    actor    text NOT NULL,
    at       timestamptz NOT NULL DEFAULT koschey_now(),
    PRIMARY KEY (index_id, name)
);

-- Names that look alike are alike here: the separators are gone, l and i are 1, o is 0.
CREATE INDEX project_lookalike ON project (translate(name, 'lio-', '110'));
