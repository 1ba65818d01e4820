-- Why a file has its state, as a type that code can read. The sentence beside it, `reason`, is for people alone.

-- What `cause_subject` is, depends on the cause: koschey/causes.py. The scope and the version are those of a decision or
-- a rule. `cause_transaction` is the transaction that wrote the cause. Existing rows are not rewritten for a constant
-- default, and it is right for most of them; rows that are inserted without a cause from here on have none.
ALTER TABLE standing
    ADD COLUMN cause             text NOT NULL DEFAULT 'time',
    ADD COLUMN cause_subject     text NOT NULL DEFAULT '',
    ADD COLUMN cause_scope       text NOT NULL DEFAULT '',
    ADD COLUMN cause_version     text,
    ADD COLUMN cause_transaction xid8;
ALTER TABLE standing ALTER COLUMN cause SET DEFAULT 'unknown';

-- The sentences of earlier versions are read here, and never again. A cause changes no state: a file whose sentence
-- does not tell what it refers to stays held, released or blocked, and what it refers to stays empty.
UPDATE standing
   SET cause = known.cause, cause_subject = known.subject, cause_scope = known.scope, cause_version = known.version
  FROM standing AS old
  JOIN file ON file.id = old.file_id
  JOIN project ON project.id = file.project_id
 CROSS JOIN LATERAL (
    SELECT 1 AS place, 'removal' AS cause, coalesce(substring(old.reason FROM '\(removed by ([^()]+)\)$'), '') AS subject,
           '' AS scope, NULL AS version
     WHERE old.state = 'removed'
    UNION ALL
    SELECT 2, 'filename', '', '', NULL
     WHERE old.state IN ('malformed', 'conflict')
       AND old.reason IN ('the filename names no version of this project', 'another project has a file under this path',
                          'other bytes were downloaded under this filename before',
                          'other bytes were downloaded under this filename while the name had another origin')
    UNION ALL
    SELECT 2, 'upload', substr(old.reason, length('uploaded by ') + 1), '', NULL
     WHERE old.state = 'released' AND starts_with(old.reason, 'uploaded by ')
    UNION ALL
    -- The decision itself tells its scope, and that of a whole project has a row without a version. Trust binds files
    -- whatever its scope was.
    SELECT 3, 'decision', decision.action,
           CASE WHEN decision.action <> 'trust' THEN decision.project ELSE '' END,
           CASE WHEN decision.action <> 'trust' AND NOT EXISTS (
                    SELECT FROM decision AS whole WHERE whole.serial = decision.serial AND whole.version IS NULL)
                THEN decision.version END
      FROM (SELECT * FROM decision
             WHERE decision.index_id = old.index_id AND decision.project = project.name
               AND decision.filename = file.filename
               AND starts_with(old.reason, CASE decision.action WHEN 'extend' THEN 'extended' ELSE decision.action END
                                           || ' by ' || decision.actor)
               AND right(old.reason, length(decision.reason) + 2) = ': ' || decision.reason
             ORDER BY decision.serial DESC
             LIMIT 1) AS decision
    UNION ALL
    SELECT 4, 'decision', written.action, '', NULL
      FROM (VALUES ('released', 'approve', 'approve by '), ('released', 'trust', 'trust by '),
                   ('blocked', 'block', 'block by '), ('blocked', 'recall', 'recall by '),
                   ('held', 'unblock', 'unblock by '), ('held', 'extend', 'extended by '))
           AS written (state, action, start)
     WHERE old.state = written.state AND starts_with(old.reason, written.start)
    UNION ALL
    SELECT 5, CASE rule.kind WHEN 'reserved' THEN 'reservation' ELSE 'rule' END,
           CASE rule.kind WHEN 'reserved' THEN '' ELSE rule.kind END, rule.project, nullif(rule.version, '')
      FROM (SELECT * FROM rule
             WHERE rule.index_id = old.index_id AND in_scope(rule.project, project.name, project.origin)
               AND rule.version IN ('', file.version)
               AND CASE rule.kind
                   WHEN 'blocked' THEN old.state = 'blocked'
                        AND old.reason = 'blocked by ' || rule.actor || ': ' || rule.reason
                   WHEN 'reserved' THEN old.state = 'blocked'
                        AND old.reason = 'the name is reserved for private packages: ' || rule.reason
                   WHEN 'trusted' THEN old.state IN ('held', 'released')
                        AND old.reason IN ('trusted by ' || rule.actor || ': ' || rule.reason,
                                           'trusted by ' || rule.actor || ': ' || rule.reason
                                           || '; held until its checks went through')
                   WHEN 'allowed-only' THEN old.state = 'held'
                        AND old.reason = 'only what a reviewer approves or trusts is served here: ' || rule.reason
                   WHEN 'attested' THEN old.state = 'held' AND old.reason = 'held until its attestation is verified'
                   ELSE false END
             -- The narrowest decides.
             ORDER BY rule.version = '', rule.project = '*', rule.project = '@upstream', right(rule.project, 2) = '-*',
                      length(rule.project) DESC
             LIMIT 1) AS rule
    UNION ALL
    SELECT 6, written.cause, written.subject, '', NULL
      FROM (VALUES ('blocked', 'rule', 'blocked', 'blocked by '),
                   ('blocked', 'reservation', '', 'the name is reserved for private packages: '),
                   ('held', 'rule', 'trusted', 'trusted by '),
                   ('released', 'rule', 'trusted', 'trusted by '),
                   ('held', 'rule', 'allowed-only', 'only what a reviewer approves or trusts is served here: '),
                   ('held', 'rule', 'attested', 'held until its attestation is verified'),
                   ('held', 'upstream', 'no-digest', 'the upstream gives no sha256; held until the bytes are hashed'),
                   ('held', 'upstream', 'returned', 'the project came back after it was gone from the upstream; '),
                   ('held', 'upstream', 'listed-again', 'the upstream withdrew the released file, and lists it again'),
                   ('released', 'upstream', 'listed-again', 'the upstream withdrew the released file, and lists it again'),
                   ('blocked', 'upstream', 'removed', 'the upstream removed the file during its quarantine'),
                   ('blocked', 'upstream', 'yanked', 'the upstream yanked the file during its quarantine: '),
                   ('blocked', 'upstream', 'withdrawn', 'the upstream withdrew the file '),
                   ('blocked', 'upstream', 'quarantined', 'the upstream quarantined the project: '),
                   ('conflict', 'upstream', 'replaced', 'the upstream lists other bytes under this filename now'),
                   ('blocked', 'status', '', 'the project is quarantined: '),
                   ('blocked', 'archive', '', 'METADATA in '))
           AS written (state, cause, subject, start)
     WHERE old.state = written.state AND starts_with(old.reason, written.start)
    UNION ALL
    SELECT 7, 'origin',
           coalesce(substring(old.reason FROM '^the name [a-z0-9-]+ was (?:claimed for private packages|given back to its '
                                              'upstream) by ([^:]+): '), ''), '', NULL
     WHERE old.reason ~ ('^the name ' || project.name || ' (was (claimed|given back)|came back to this origin: )')
    UNION ALL
    -- An advisory as a report, or as a finding of the check `advisories`.
    SELECT 8, 'advisory', advisory.id, '', NULL
      FROM advisory
     WHERE old.state = 'blocked' AND advisory.project = project.name
       AND (starts_with(old.reason, advisory.id || ': ') OR starts_with(old.reason, 'advisories: ' || advisory.id || ': '))
    UNION ALL
    SELECT 9, 'check', finding.name || '/' || finding.code, '', NULL
      FROM finding
     WHERE old.state = 'blocked' AND finding.file_id = file.id AND old.reason = finding.name || ': ' || finding.summary
    UNION ALL
    SELECT 10, 'check', known_check.name, '', NULL
      FROM known_check
     WHERE old.state = 'blocked' AND starts_with(old.reason, known_check.name || ': ')
    UNION ALL
    SELECT 11, 'upstream', 'unreachable', '', NULL
     WHERE old.state = 'held'
       AND EXISTS (SELECT FROM journal
                    WHERE journal.project = project.name AND journal.filename = file.filename
                      AND journal.action = 'fetch failed' AND journal.detail ->> 'reason' = old.reason)
    UNION ALL
    SELECT 12, 'unknown', '', '', NULL
     ORDER BY 1, 3
     LIMIT 1
 ) AS known
 WHERE standing.index_id = old.index_id AND standing.file_id = old.file_id
   AND NOT (old.state IN ('held', 'released')
            AND old.reason IN ('in quarantine', 'older than the quarantine window when it was first seen',
                               'the quarantine window ended'));

ALTER TABLE standing ADD CONSTRAINT standing_cause_check CHECK (cause IN (
    'time', 'decision', 'rule', 'reservation', 'advisory', 'check', 'upstream', 'archive', 'filename', 'upload', 'status',
    'removal', 'origin', 'unknown'));

-- Code of before this migration goes on to move files while it is applied, and gives no cause. The cause of the state
-- that it ends must not stay behind.
CREATE FUNCTION forget_cause() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER standing_forgets_cause BEFORE UPDATE OF state, reason ON standing
    FOR EACH ROW EXECUTE FUNCTION forget_cause();
