"""Looking into archives that strangers made: in a child process that can be killed, and never by extracting them.

`inspect` starts the child and judges how it ended; `child` is what runs in it. `wheels` and `sdists` hold the rules for
what an archive is, `zip_framing` and `tar_members` those for its frame, each a small function in a list; `rules` names
them all. Whose fault a broken rule is, the caller decides: an upload is refused, a file from an upstream is held.
"""
