"""The options of Python in a child process that handles untrusted texts and archives."""

ISOLATED = ("-I", "-B", "-X", "utf8", "-W", "ignore")
"""Interpreter options: no user folder, no environment variables and no current folder on the path; no bytecode is
written, texts are UTF-8, and warnings are not printed."""
