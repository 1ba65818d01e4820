"""The rules that an uploaded file must keep, as the public index has them, and the switches of those that can be off.

Each rule is a small function that yields what is wrong; `rule` says what a rule is. `of_form` looks at the form before
the archive is opened, `of_index` at what is here already, `of_archive` at what only some systems can unpack,
`of_metadata` at what the archive says of itself. `switches` has the list of all and turns them on and off. What is not
here cannot be switched: the form and its digests (`koschey.standards`), the archive (`koschey.inspection`), and that a
filename stands for one sequence of bytes.
"""
