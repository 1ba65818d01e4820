"""What takes time: one deterministic workflow a file. Postgres decides; a workflow only asks to look again."""
