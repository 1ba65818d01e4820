"""The rules that an uploaded file must keep, as the public index has them, and the switches of those that can be off.

Each rule is a small function that yields what is wrong; `rule` says what a rule is. `form_rules` looks at the form
before the archive is opened, `index_rules` at what is here already, `archive_rules` at what only some systems can
unpack, `metadata_rules` at what the archive says of itself. `switches` has the list of all and turns them on and off.
What is not here cannot be switched: the form and its digests (`koschey.standards`), the archive (`koschey.inspection`),
and that a filename stands for one sequence of bytes.
"""
