"""The child process that reads archives: how it is started, what runs in it, and how it is ended."""
