-- What was accepted is never lost, and a name never changes hands: rows are marked, not deleted. A bug in a program
-- could otherwise free a filename for other bytes, or a private name for the upstream's project.

CREATE FUNCTION refuse_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'nothing is deleted from the table %; mark it as removed', TG_TABLE_NAME;
END $$;
CREATE TRIGGER project_is_never_deleted BEFORE DELETE ON project
    FOR EACH ROW EXECUTE FUNCTION refuse_delete();
CREATE TRIGGER project_is_never_emptied BEFORE TRUNCATE ON project
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_delete();
CREATE TRIGGER file_is_never_deleted BEFORE DELETE ON file
    FOR EACH ROW EXECUTE FUNCTION refuse_delete();
CREATE TRIGGER file_is_never_emptied BEFORE TRUNCATE ON file
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_delete();
CREATE TRIGGER standing_is_never_deleted BEFORE DELETE ON standing
    FOR EACH ROW EXECUTE FUNCTION refuse_delete();
CREATE TRIGGER standing_is_never_emptied BEFORE TRUNCATE ON standing
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_delete();

CREATE FUNCTION keep_name() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.name, NEW.origin) IS DISTINCT FROM (OLD.name, OLD.origin) THEN
        RAISE EXCEPTION 'the project % keeps its name and is % for ever', OLD.name, OLD.origin;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER project_keeps_name BEFORE UPDATE OF name, origin ON project
    FOR EACH ROW EXECUTE FUNCTION keep_name();
