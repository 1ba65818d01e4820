"""Looking into archives that strangers made: in a child process that can be killed, and never by extracting them.

`inspect` starts the child and judges how it ended; `child` is what runs in it; `wheels` and `sdists` hold the rules,
each a small function in a list.
"""
