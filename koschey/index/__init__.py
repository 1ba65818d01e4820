"""Reading: a project's page and a file's bytes, from memory, from PostgreSQL and S3, or from the upstream once."""
