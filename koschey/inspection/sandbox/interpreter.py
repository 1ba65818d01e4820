"""How Python starts in a child process that handles texts and archives of strangers."""

ISOLATED = ("-I", "-B", "-X", "utf8", "-W", "ignore")
"""Options of the interpreter: no user folder, no variables and no current folder on the path; no bytecode is written,
texts are UTF-8, and warnings are not printed."""
