"""The quarantine: people, time and checks decide which files are released."""
