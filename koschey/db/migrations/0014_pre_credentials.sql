-- What proves a person, and what limits guesses: a role that only uploads, traces of logins, codes of reviewers.

ALTER TABLE account_grant DROP CONSTRAINT account_grant_role_check;
ALTER TABLE account_grant ADD CONSTRAINT account_grant_role_check
    CHECK (role IN ('uploader', 'upload-only', 'reviewer', 'admin'));

-- What is remembered of logins: failures of an address, of an account, or of both together, until time has forgiven all
-- of them; and from which addresses an account has proved itself. A crash of PostgreSQL may empty the table.
CREATE UNLOGGED TABLE login_trace (
    kind    text NOT NULL,
    subject text NOT NULL,
    until   timestamptz NOT NULL,
    PRIMARY KEY (kind, subject)
);
CREATE INDEX login_trace_until ON login_trace (until);

-- A short code lets a signal to Temporal decide in the name of the reviewer to whom it was shown. Here is only its
-- digest, so a copy of this table decides nothing.
CREATE TABLE reviewer_code (
    digest    text PRIMARY KEY CHECK (digest ~ '^[0-9a-f]{64}$'),
    reviewer  text NOT NULL,
    -- Where it was shown: `admin`, `api` or `cli`. The command line has no account behind it.
    door      text NOT NULL,
    choice    text NOT NULL CHECK (choice IN ('approve', 'block', 'extend')),
    days      double precision,
    issued_at timestamptz NOT NULL DEFAULT koschey_now()
);
CREATE INDEX reviewer_code_issued ON reviewer_code (issued_at);

-- The releases that a code decides about, each once. `shown` is the digest of the files and findings that the reviewer
-- saw beside the code: it decides about nothing else.
CREATE TABLE reviewer_code_release (
    digest   text NOT NULL REFERENCES reviewer_code ON DELETE CASCADE,
    index_id smallint NOT NULL REFERENCES index,
    project  text NOT NULL,
    version  text NOT NULL,
    shown    text NOT NULL CHECK (shown ~ '^[0-9a-f]{64}$'),
    used_at  timestamptz,
    answer   text,
    PRIMARY KEY (digest, index_id, project, version)
);
