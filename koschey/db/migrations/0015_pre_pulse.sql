-- How long a message has been due. A claim moves due_at, so due_at does not tell it.
ALTER TABLE outbox ADD COLUMN first_due_at timestamptz NOT NULL DEFAULT koschey_now();
UPDATE outbox SET first_due_at = due_at;
CREATE INDEX outbox_first_due ON outbox (first_due_at);

-- When each worker reported last, and when Temporal answered it last. Real time: it is about processes, not policy.
CREATE TABLE worker (
    name        text PRIMARY KEY,
    seen_at     timestamptz NOT NULL,
    temporal_at timestamptz
);
