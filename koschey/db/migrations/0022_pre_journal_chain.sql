-- The chain of the journal: each entry has the digest of itself and of the digest before it.

-- A table of its own, which only the trigger writes: the role of the processes needs no right to change it. Entries that
-- are older than this table have no digest.
CREATE TABLE journal_digest (
    serial bigint PRIMARY KEY,
    digest bytea NOT NULL CHECK (octet_length(digest) = 32)
);
CREATE TRIGGER journal_digest_is_append_only BEFORE UPDATE OR DELETE ON journal_digest
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER journal_digest_is_never_emptied BEFORE TRUNCATE ON journal_digest
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The writer has locked the counter, so that the entry before its own is committed. The trigger's statements see it,
-- although the writer's statement may have begun earlier. A loop, because an aggregate function in SQL takes three times
-- as long.
CREATE FUNCTION chain_journal() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    entry record;
    last bytea;
    serials bigint[];
    digests bytea[];
BEGIN
    SELECT digest INTO last FROM journal_digest WHERE serial = (SELECT min(serial) - 1 FROM added);
    last := coalesce(last, '');
    FOR entry IN
        SELECT serial,
               jsonb_build_array(
                   serial, (extract(epoch FROM at) * 1000000)::bigint, actor, door, action,
                   project, version, filename, detail
               )::text AS text
          FROM added ORDER BY serial
    LOOP
        last := sha256(last || convert_to(entry.text, 'UTF8'));
        serials := serials || entry.serial;
        digests := digests || last;
    END LOOP;
    INSERT INTO journal_digest (serial, digest) SELECT * FROM unnest(serials, digests);
    RETURN NULL;
END $$;
CREATE TRIGGER journal_is_chained AFTER INSERT ON journal REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION chain_journal();
