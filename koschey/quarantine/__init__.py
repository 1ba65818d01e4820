"""The quarantine: decisions of people, of time and of checks about which files are released."""
