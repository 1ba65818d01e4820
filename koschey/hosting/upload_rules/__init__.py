"""The rules for uploaded files, as on the public index, and the switches of those that can be off.

Each rule is a small function that yields faults; `rule` defines what a rule is. `form_rules` checks the form before the
archive is opened, `index_rules` what is here already, `archive_rules` what only some systems can unpack, and
`metadata_rules` the metadata in the archive. `switches` lists all rules, and switches them on and off. Other checks
cannot be switched off: those of the form and its digests (`koschey.standards`) and of the archive
(`koschey.inspection`), and that a filename has one sequence of bytes.
"""
