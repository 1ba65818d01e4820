-- What a page says beside a file: where its metadata and its provenance stand, and what was made of them.

ALTER TABLE file
    -- Digests that other forms of the index need; known for uploads, and for mirrored files where they came along.
    ADD COLUMN blake2b_256    text CHECK (blake2b_256 ~ '^[0-9a-f]{64}$'),
    ADD COLUMN md5            text CHECK (md5 ~ '^[0-9a-f]{32}$'),
    -- PKG-INFO of an sdist, as a blob. Never advertised as core metadata: a build may change it.
    ADD COLUMN pkg_info       text CHECK (pkg_info ~ '^[0-9a-f]{64}$'),
    -- Why a wheel has no core metadata beside it although we tried to extract it.
    ADD COLUMN metadata_error text,
    -- PEP 740: where the upstream says that the provenance object of the file is.
    ADD COLUMN provenance_url text;

-- The project list is kept up to date from what changed since a serial.
CREATE INDEX project_serial ON project (serial);

ALTER TABLE project ADD COLUMN summary text;

-- PEP 740: the provenance object, byte for byte, and what its verification said. Unlike the record of PEP 710 it may
-- be replaced: "the object is not immutable" upstream, and a verification can be repeated.
CREATE TABLE attestation (
    file_id    bigint PRIMARY KEY REFERENCES file,
    object     bytea NOT NULL,
    verdict    text NOT NULL CHECK (verdict IN ('verified', 'refuted', 'unverifiable')),
    detail     text NOT NULL,
    -- The publishers that the object names: [{"kind": "GitHub", ...}].
    publishers jsonb NOT NULL DEFAULT '[]',
    checked_at timestamptz NOT NULL DEFAULT koschey_now()
);
