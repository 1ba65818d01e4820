"""Checks: what looks at the files that are held, and says what a reviewer should know before time lets them out.

`check` says what a check is; whoever installs one in a distribution of their own names it in the entry point group
`koschey.check.v1`. `registry` finds all that are installed, `isolate` runs those of strangers in a child process, and
the other modules are Koschey's own, each one question. A check decides nothing: policy says what is done about what it
finds. A check that is switched on and did not go through a file keeps it held.
"""
