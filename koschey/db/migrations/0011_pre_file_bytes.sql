-- What is wrong with the bytes of a file: in the bucket, or at the upstream.
-- Constraints are NOT VALID: every row that exists has NULL here, and to look at all of them would lock the table.

ALTER TABLE file
    -- Set while the bucket has lost or altered the file; `stored_at` is NULL meanwhile.
    ADD COLUMN damage          text,
    -- The same of the object of `core_metadata` or `pkg_info`, which is looked for at every reading.
    ADD COLUMN metadata_damage text,
    -- Core metadata that the upstream's page promised, and that neither the upstream nor the wheel has: never listed.
    ADD COLUMN broken_promise  text,
    -- When the upstream last sent other bytes than its page promised: no part of the file is passed on unverified.
    ADD COLUMN mismatched_at   timestamptz;
ALTER TABLE file
    ADD CONSTRAINT file_damage_check CHECK (damage IN ('missing', 'altered')) NOT VALID,
    ADD CONSTRAINT file_metadata_damage_check CHECK (metadata_damage IN ('missing', 'altered')) NOT VALID,
    ADD CONSTRAINT file_broken_promise_check CHECK (broken_promise ~ '^[0-9a-f]{64}$') NOT VALID;
