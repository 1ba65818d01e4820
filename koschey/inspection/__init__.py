"""Inspects untrusted archives in a child process that can be killed, and never extracts them.

`sandbox` starts the child, judges how it ended, and holds what runs in it. `archives` has the rules for the frame of a
ZIP or TAR file, and `dists` those for a wheel or an sdist, each a small function in a list; `archives.rules` names them
all. `attestations` verifies signatures, and `checks` finds what a reviewer should know. The caller decides what a
broken rule means: an upload is refused, a file from an upstream is held.
"""
