-- Roles are granted to accounts and to groups, for all indexes or for one; tokens have limits; both can be managed.
-- The code that runs before goes on reading `account_grant`; from now on `role_grant` decides.

-- Who is in which group. A group is a name and needs no row of its own.
CREATE TABLE account_membership (
    account_id bigint NOT NULL REFERENCES account,
    group_name text NOT NULL CHECK (group_name <> ''),
    PRIMARY KEY (account_id, group_name)
);
CREATE INDEX account_membership_group ON account_membership (group_name);

CREATE TABLE role_grant (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- One of the two.
    account_id bigint REFERENCES account,
    group_name text CHECK (group_name <> ''),
    role       text NOT NULL CHECK (role IN ('reader', 'uploader', 'maintainer', 'reviewer', 'auditor', 'admin')),
    -- NULL: every index.
    index_id   smallint REFERENCES index,
    -- A project, a pattern `acme-*`, or `*`.
    scope      text NOT NULL DEFAULT '*' CHECK (scope <> ''),
    granted_at timestamptz NOT NULL DEFAULT koschey_now(),
    granted_by text NOT NULL,
    CHECK (num_nonnulls(account_id, group_name) = 1),
    UNIQUE NULLS NOT DISTINCT (account_id, group_name, role, index_id, scope)
);
CREATE INDEX role_grant_group ON role_grant (group_name) WHERE group_name IS NOT NULL;

-- What could upload, inspect and yank is a maintainer; what could only upload is an uploader.
INSERT INTO role_grant (account_id, role, scope, granted_by)
SELECT account_id, CASE role WHEN 'uploader' THEN 'maintainer' WHEN 'upload-only' THEN 'uploader' ELSE role END, scope,
       'system'
  FROM account_grant
 ORDER BY account_id, role, scope;

-- NULL: older than this column.
ALTER TABLE account ADD COLUMN created_at timestamptz;
ALTER TABLE account ALTER COLUMN created_at SET DEFAULT koschey_now();

ALTER TABLE token
    -- NULL: all actions of its owner, all projects, all indexes.
    ADD COLUMN actions text[],
    ADD COLUMN scopes text[],
    ADD COLUMN index_id smallint REFERENCES index,
    ADD COLUMN created_by text,
    -- Written at most once a minute, after the answer.
    ADD COLUMN last_used_at timestamptz,
    ADD COLUMN last_used_from text;
CREATE INDEX token_account ON token (account_id);

-- Every process forgets at once what it keeps of the logins of an account.
CREATE FUNCTION notify_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('koschey_account', '');
    RETURN NULL;
END $$;
CREATE TRIGGER account_changed AFTER UPDATE OF name, password_hash, disabled_at OR DELETE ON account
    FOR EACH STATEMENT EXECUTE FUNCTION notify_account();
CREATE TRIGGER membership_changed AFTER INSERT OR UPDATE OR DELETE ON account_membership
    FOR EACH STATEMENT EXECUTE FUNCTION notify_account();
CREATE TRIGGER grant_changed AFTER INSERT OR UPDATE OR DELETE ON role_grant
    FOR EACH STATEMENT EXECUTE FUNCTION notify_account();
CREATE TRIGGER token_changed
    AFTER UPDATE OF account_id, secret_sha256, expires_at, revoked_at, actions, scopes, index_id OR DELETE ON token
    FOR EACH STATEMENT EXECUTE FUNCTION notify_account();
