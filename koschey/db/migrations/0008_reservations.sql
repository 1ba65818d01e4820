-- Names that no upstream may fill: `acme` alone, or `acme-*` for it and all that begins so (as PEP 752 reads a
-- namespace). A rule like the others; what stands as its project is the pattern.
ALTER TABLE rule DROP CONSTRAINT rule_kind_check;
ALTER TABLE rule ADD CONSTRAINT rule_kind_check CHECK (kind IN ('trusted', 'blocked', 'reserved'));
