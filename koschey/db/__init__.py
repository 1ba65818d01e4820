"""Every SQL statement of Koschey: one module per table family, one typed function per statement."""
