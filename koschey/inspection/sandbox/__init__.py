"""The child process that looks into archives: how it is started, what runs in it, and how it is ended."""
