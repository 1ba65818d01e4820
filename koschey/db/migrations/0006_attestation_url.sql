-- Where the upstream's provenance object was read: it is read again once the upstream lists another address.
ALTER TABLE attestation ADD COLUMN url text;
