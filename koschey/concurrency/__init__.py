"""Tasks of a process: work that many callers share, and work that runs for as long as the process."""
