"""Checks examine held files, and report what a reviewer should know before the files are released automatically.

`check` defines what a check is; a distribution that brings one names it in the entry point group `koschey.check.v1`.
`registry` finds all installed checks, `isolate` runs third-party ones in a child process, and the other modules are
Koschey's own, one question each. A check decides nothing: the policy says what is done about a finding. If a check is
on and did not complete for a file, the file stays held.
"""
