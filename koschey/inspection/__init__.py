"""Looking into archives that strangers made: in a child process that can be killed, and never by extracting them.

`sandbox` starts the child, judges how it ended, and holds what runs in it. `archives` has the rules for the frame of a
ZIP or TAR file, `dists` those for what makes it a wheel or an sdist, each a small function in a list; `archives.rules`
names them all. `attestations` verifies signatures, `checks` asks what a reviewer should know. Whose fault a broken rule
is, the caller decides: an upload is refused, a file from an upstream is held.
"""
