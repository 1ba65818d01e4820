-- Who is logged in to the admin panel. The cookie holds the id; here is only its digest, so a copy of this table
-- opens no session.
CREATE TABLE session (
    id_sha256  text PRIMARY KEY CHECK (id_sha256 ~ '^[0-9a-f]{64}$'),
    account_id bigint NOT NULL REFERENCES account ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT koschey_now(),
    seen_at    timestamptz NOT NULL DEFAULT koschey_now(),
    -- What the last request did, said once on the next page.
    notice     text
);
CREATE INDEX session_account ON session (account_id);
